// The tables of the other devices. Where this build lacks a backend, no_<device>.cpp defines its
// function to throw LLV_UNSUPPORTED, so that callers need no #ifdef.
#pragma once

#include "backend/kernels.h"

namespace llavasharp::backend {

[[nodiscard]] const Kernels& cuda_kernels();
[[nodiscard]] const Kernels& hpu_kernels();

}  // namespace llavasharp::backend
