// The process's log sink: the one singleton, as the contract says.
#pragma once

#include "include/llavasharp.h"

namespace llavasharp::abi {

void set_log(int32_t level, llv_log_fn callback, void* user);

// Sends a printf-formatted line to the sink, if it wants that level.
__attribute__((format(printf, 2, 3))) void log(llv_log_level level, const char* format, ...);

}  // namespace llavasharp::abi
