// Device to table.
#include "backend/kernels.h"

#include "backend/backends.h"
#include "core/error.h"

namespace llavasharp::backend {

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
