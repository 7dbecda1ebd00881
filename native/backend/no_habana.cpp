// Stands in for the Habana Gaudi backend in a build without it.
#include "backend/backends.h"
#include "core/error.h"

namespace llavasharp::backend {

const Kernels& hpu_kernels() {
  core::fail(LLV_UNSUPPORTED, "device hpu: this build has no Habana Gaudi backend; use device cpu");
}

}  // namespace llavasharp::backend
