// Formats the message of an Error.
#include "core/error.h"

#include <array>
#include <cstdarg>
#include <cstdio>

namespace llavasharp::core {

void fail(llv_status status, const char* format, ...) {
  std::array<char, 1024> text{};  // Longer messages are cut: they are one line.
  std::va_list arguments;
  va_start(arguments, format);
  static_cast<void>(std::vsnprintf(text.data(), text.size(), format, arguments));
  va_end(arguments);
  throw Error(status, text.data());
}

}  // namespace llavasharp::core
