// The MLP half of a decoder layer: y = x + Wdown · (silu(Wgate · h) · (Wup · h)), h = rms_norm(x).
//
// Letters: R rows, D hidden, I intermediate. Gate and up are one product, [R, 2I].
#pragma once

#include "layers/adapted.h"
#include "layers/context.h"
#include "layers/lora.h"
#include "layers/packing.h"

namespace llavasharp::layers {

// Weights, or their gradients: then empty where frozen.
struct MlpWeights {
  View norm;     // [1, D]
  View gate_up;  // [2I, D]
  View down;     // [D, I]
  LoraGroup gate_up_lora = {};
  LoraGroup down_lora = {};
};

// What backward reads. Views into the arena, which the caller rewinds.
struct MlpSaved {
  View x;            // [R, D] the input, borrowed.
  View inverse_rms;  // [1, R]
  View gate_up;      // [R, 2I], overwritten by backward.
  AdaptedSaved gate_up_adapted;
  AdaptedSaved down_adapted;
};

// y [R, D] from x [R, D]; y may be x with Keep::kNothing. An empty y is not made: what backward
// reads is.
void mlp_forward(Context context, double norm_eps, const MlpWeights& weights, View y, View x,
                 Keep keep, MlpSaved* saved);

// dy [R, D] becomes dx in place: the residual's gradient is already in it.
void mlp_backward(Context context, double norm_eps, const MlpWeights& weights,
                  const MlpWeights& gradients, View dy, const MlpSaved& saved);

}  // namespace llavasharp::layers
