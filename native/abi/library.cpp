// llv_library_*, llv_error_*, llv_log_*, llv_live_*, llv_echo_*.
#include "abi/checks.h"
#include "abi/guard.h"
#include "abi/log.h"
#include "backend/kernels.h"
#include "core/libtorch.h"
#include "include/llavasharp.h"

namespace abi = llavasharp::abi;
namespace backend = llavasharp::backend;
namespace core = llavasharp::core;

llv_status llv_library_info_get(llv_library_info* out_info) {
  return abi::guard([&] {
    abi::require(out_info, "out_info");
    *out_info = {.abi_version = LLV_ABI_VERSION,
                 .reserved = 0,
                 .version = LLAVASHARP_VERSION,
                 .libtorch = core::libtorch_version(),
                 .simd = backend::cpu_simd_name()};
  });
}

const char* llv_error_message(void) {
  return abi::message();
}

llv_status llv_log_set(int32_t level, llv_log_fn callback, void* user) {
  return abi::guard([&] {
    if (level < LLV_LOG_DEBUG || level > LLV_LOG_ERROR) {
      core::fail(LLV_INVALID, "level is %d: must be %d to %d", level, LLV_LOG_DEBUG, LLV_LOG_ERROR);
    }
    abi::set_log(level, callback, user);
  });
}

llv_status llv_live_count_get(int64_t* out_count) {
  return abi::guard([&] {
    abi::require(out_count, "out_count");
    *out_count = abi::Alive::count();
  });
}

llv_status llv_echo_get(const llv_echo* value, const int64_t* span, int64_t span_count,
                        llv_echo* out_value, int64_t* out_span_sum) {
  return abi::guard([&] {
    abi::require(value, "value");
    abi::require(out_value, "out_value");
    abi::require(out_span_sum, "out_span_sum");
    uint64_t sum = 0;  // Unsigned: a sum past the end wraps.
    for (const int64_t item : abi::span_of(span, span_count, "span")) {
      sum += static_cast<uint64_t>(item);
    }
    *out_value = *value;
    *out_span_sum = static_cast<int64_t>(sum);
  });
}
