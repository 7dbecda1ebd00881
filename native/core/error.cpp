// Formats the message of an Error.
#include "core/error.h"

#include <array>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace llavasharp::core {
namespace {

// Length of the text without a UTF-8 character that the end of the buffer has cut in two.
size_t whole_characters(const char* text, size_t length) {
  const auto byte = [text](size_t at) { return static_cast<unsigned char>(text[at]); };
  size_t lead = length;
  while (lead > 0 && length - lead < 3 && (byte(lead - 1) & 0xC0U) == 0x80U) {
    --lead;  // Bytes 10xxxxxx continue a character.
  }
  if (lead == 0 || byte(lead - 1) < 0xC0U) {
    return length;  // Ends with ASCII, or is no UTF-8.
  }
  --lead;
  const unsigned first = byte(lead);
  const size_t needed = first >= 0xF0U ? 4 : first >= 0xE0U ? 3 : 2;
  return length - lead < needed ? lead : length;
}

}  // namespace

void fail(llv_status status, const char* format, ...) {
  std::array<char, 1024> text{};  // Longer messages are cut: they are one line.
  std::va_list arguments;
  va_start(arguments, format);
  static_cast<void>(std::vsnprintf(text.data(), text.size(), format, arguments));
  va_end(arguments);
  text.at(whole_characters(text.data(), std::strlen(text.data()))) = '\0';
  throw Error(status, text.data());
}

}  // namespace llavasharp::core
