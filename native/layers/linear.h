// y = x Wᵀ + b. Backward accumulates into weight gradients and overwrites dx.
#pragma once

#include "core/matmul.h"
#include "layers/context.h"

namespace llavasharp::layers {

// Weights, or their gradients: then empty views where nothing is to be accumulated.
struct Linear {
  View weight;  // [out, in]
  View bias;    // [1, out], or empty.
};

// y [rows, out] from x [rows, in].
void linear_forward(Context context, View y, View x, const Linear& weights);

// dweight += dyᵀ x and dbias += column sums of dy, where not empty; x is not read otherwise.
void linear_backward_weights(Context context, const Linear& gradients, View dy, View x);

// dx [rows, in] (+)= dy W.
void linear_backward_input(View dx, View dy, View weight,
                           core::Accumulate accumulate = core::Accumulate::kNo);

}  // namespace llavasharp::layers
