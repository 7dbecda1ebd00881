// Errors inside the engine: one exception type that carries the status a host will see.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "include/llavasharp.h"

namespace llavasharp::core {

class Error : public std::runtime_error {
 public:
  Error(llv_status status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  [[nodiscard]] llv_status status() const noexcept { return status_; }

 private:
  llv_status status_;
};

// Throws Error with a printf-formatted message: one line, with the values and, where known, the
// remedy.
[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(llv_status status, const char* format,
                                                             ...);

}  // namespace llavasharp::core
