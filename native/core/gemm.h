// Our own matrix product, for machines whose vectors libtorch's matrix library does not use: it
// takes 256-bit code on AMD processors, of which those with AVX-512 can do twice as much.
#pragma once

#include "core/view.h"

namespace llavasharp::core {

// out[m,n] (+)= a · b, where a is stored [m,k], or [k,m] if transposed, and b [k,n], or [n,k] if
// transposed. Shapes fit; none is empty.
struct GemmCall {
  View out;
  View a;
  View b;
  bool transpose_a;
  bool transpose_b;
  bool accumulate;
};

// Packed operands, which the thread that calls keeps.
inline constexpr int64_t kGemmScratchFloats = 4 * 1024 * 1024;

// Whether gemm() is the faster choice on this machine.
[[nodiscard]] bool gemm_pays(int64_t m, int64_t n, int64_t k);

// Every element is summed in the order of k, whatever the thread count.
void gemm(const GemmCall& call);

}  // namespace llavasharp::core
