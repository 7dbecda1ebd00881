// Matrix products through libtorch (MKL on CPU, cuBLAS on CUDA): the one place where a GEMM is
// issued. All operands are float32 views on one device; shapes are checked, with their values,
// before the call.
#pragma once

#include "core/view.h"

namespace llavasharp::core {

enum class Accumulate : bool { kNo = false, kYes = true };

// out[m,n] (+)= a[m,k] · b[n,k]ᵀ: a linear layer's forward, y = x Wᵀ.
void matmul_nt(View out, View a, View b, Accumulate accumulate = Accumulate::kNo);

// out[m,n] (+)= a[m,k] · b[k,n]: a linear layer's input gradient, dx = dy W.
void matmul_nn(View out, View a, View b, Accumulate accumulate = Accumulate::kNo);

// out[m,n] (+)= a[k,m]ᵀ · b[k,n]: a linear layer's weight gradient, dW += dyᵀ x.
void matmul_tn(View out, View a, View b, Accumulate accumulate = Accumulate::kNo);

// The same by libtorch's matrix library whatever the machine: what ours is measured against.
// out[m,n] (+)= a · b, a stored [k,m] where transposed, b stored [n,k] where transposed.
void matmul_by_libtorch(View out, View a, bool transpose_a, View b, bool transpose_b,
                        Accumulate accumulate = Accumulate::kNo);

}  // namespace llavasharp::core
