// Stands in for the CUDA backend in a build without it.
#include "backend/backends.h"
#include "core/error.h"

namespace llavasharp::backend {

const Kernels& cuda_kernels() {
  core::fail(LLV_UNSUPPORTED, "device cuda: this build has no CUDA backend; use device cpu");
}

}  // namespace llavasharp::backend
