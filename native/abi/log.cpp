#include "abi/log.h"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <mutex>

namespace llavasharp::abi {
namespace {

struct Sink {
  // Held during a callback, so that none runs any more once it was replaced; recursive, so that a
  // callback may replace itself.
  std::recursive_mutex mutex;
  int32_t level = LLV_LOG_INFO;
  llv_log_fn callback = nullptr;
  void* user = nullptr;
};

Sink& sink() {
  static Sink instance;
  return instance;
}

}  // namespace

void set_log(int32_t level, llv_log_fn callback, void* user) {
  const std::scoped_lock lock(sink().mutex);
  sink().level = level;
  sink().callback = callback;
  sink().user = user;
}

void log(llv_log_level level, const char* format, ...) {
  const std::scoped_lock lock(sink().mutex);
  if (sink().callback == nullptr || level < sink().level) {
    return;
  }
  std::array<char, 512> line{};
  std::va_list arguments;
  va_start(arguments, format);
  static_cast<void>(std::vsnprintf(line.data(), line.size(), format, arguments));
  va_end(arguments);
  sink().callback(level, line.data(), sink().user);
}

}  // namespace llavasharp::abi
