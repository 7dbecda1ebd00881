// Enough JSON to read a parity case: no numbers beyond double, \u escapes kept as '?'.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace llavasharp::test {

struct Json {
  enum class Kind { kNull, kNumber, kText, kList, kObject };
  Kind kind = Kind::kNull;
  double number = 0;
  std::string text;
  std::vector<Json> list;
  std::map<std::string, Json> object;

  [[nodiscard]] const Json& operator[](const std::string& key) const { return object.at(key); }
  [[nodiscard]] bool has(const std::string& key) const { return object.contains(key); }
  [[nodiscard]] int integer() const { return static_cast<int>(number); }
};

// Throws std::runtime_error at what it does not understand.
[[nodiscard]] Json parse_json(std::string_view text);

}  // namespace llavasharp::test
