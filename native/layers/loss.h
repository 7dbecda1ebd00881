// The head: final norm, output projection and cross entropy of supervised rows, in chunks of fixed
// size. Logits of more than one chunk never exist, and a chunk's become their own gradient in
// place.
//
// Letters: R rows, D hidden, V vocabulary.
#pragma once

#include <cstdint>

#include "layers/context.h"

namespace llavasharp::layers {

// Weights, or their gradients: then empty where frozen.
struct HeadWeights {
  View norm;    // [1, D]
  View weight;  // [V, D]
};

// Logits rows that exist at once.
inline constexpr int64_t kLossChunkRows = 256;

// losses [R]: cross entropy of each row of hidden [R, D] against targets [R].
void loss_forward(Context context, double norm_eps, const HeadWeights& weights, View hidden,
                  const int32_t* targets, double* losses);

// The same, with dhidden [R, D] and weight gradients of gradient_scale · (sum of losses).
void loss_forward_backward(Context context, double norm_eps, const HeadWeights& weights,
                           const HeadWeights& gradients, View dhidden, View hidden,
                           const int32_t* targets, double* losses, float gradient_scale);

// logits [R, V] of hidden [R, D].
void logits_forward(Context context, double norm_eps, const HeadWeights& weights, View logits,
                    View hidden);

}  // namespace llavasharp::layers
