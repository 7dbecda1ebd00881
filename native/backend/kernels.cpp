// Device to table.
#include "backend/kernels.h"

#include "backend/backends.h"
#include "core/error.h"

namespace llavasharp::backend {
namespace {

// SplitMix64's finaliser.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31U);
}

}  // namespace

uint64_t mix_keys(uint64_t a, uint64_t b, uint64_t c) {
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15ULL;
  return mix(mix(mix(a + kGolden) + b + kGolden) + c + kGolden);
}

const Kernels& kernels_for(int32_t device) {
  switch (device) {
    case LLV_DEVICE_CPU:
      return cpu_kernels();
    case LLV_DEVICE_CUDA:
      return cuda_kernels();
    case LLV_DEVICE_HPU:
      return hpu_kernels();
    default:
      core::fail(LLV_INVALID, "device %d is unknown: use 0 (cpu), 1 (cuda) or 2 (hpu)", device);
  }
}

}  // namespace llavasharp::backend
