#include "model/golden/json.h"

#include <cctype>
#include <cstdlib>
#include <stdexcept>

namespace llavasharp::test {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json value() {
    skip();
    switch (peek()) {
      case '{':
        return object();
      case '[':
        return list();
      case '"': {
        Json json;
        json.kind = Json::Kind::kText;
        json.text = string();
        return json;
      }
      default:
        return scalar();
    }
  }

 private:
  char peek() const {
    if (at_ >= text_.size()) {
      throw std::runtime_error("JSON ends early");
    }
    return text_[at_];
  }
  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) {
      ++at_;
    }
  }
  bool take(char c) {
    skip();
    if (peek() != c) {
      return false;
    }
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) {
      throw std::runtime_error("JSON: unexpected character at " + std::to_string(at_));
    }
  }
  std::string string() {
    expect('"');
    std::string out;
    while (peek() != '"') {
      char c = text_[at_++];
      if (c == '\\') {
        c = text_[at_++];
        if (c == 'u') {
          at_ += 4;
          c = '?';
        }
      }
      out += c;
    }
    ++at_;
    return out;
  }
  Json object() {
    Json json;
    json.kind = Json::Kind::kObject;
    expect('{');
    while (!take('}')) {
      skip();
      std::string key = string();
      expect(':');
      json.object.emplace(std::move(key), value());
      static_cast<void>(take(','));
    }
    return json;
  }
  Json list() {
    Json json;
    json.kind = Json::Kind::kList;
    expect('[');
    while (!take(']')) {
      json.list.push_back(value());
      static_cast<void>(take(','));
    }
    return json;
  }
  Json scalar() {
    const size_t begin = at_;
    while (at_ < text_.size() &&
           std::string_view(",]} \n\r\t").find(text_[at_]) == std::string_view::npos) {
      ++at_;
    }
    const std::string word(text_.substr(begin, at_ - begin));
    Json json;
    if (word != "null") {
      json.kind = Json::Kind::kNumber;
      json.number = word == "true" ? 1 : word == "false" ? 0 : std::strtod(word.c_str(), nullptr);
    }
    return json;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Json parse_json(std::string_view text) {
  return Parser(text).value();
}

}  // namespace llavasharp::test
