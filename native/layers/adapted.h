// A linear layer with adapters beside it: y = x Wᵀ + u Bᵀ, u = s · drop(x) Aᵀ (lora.h).
//
// With DoRA (Liu et al. 2024) a row of V = W + s·B·A is scaled to a length that trains: by the gain
// g = magnitude / ‖V row‖. As PEFT has it, the length is a constant in backward, and under dropout
// the base's share comes from x as it is and only what the gain adds from the dropped one:
// y = x Wᵀ + u Bᵀ + (g - 1) ⊙ p, where p = drop(x) Wᵀ + u Bᵀ, so that dropout costs the base
// product once more in either direction. Without dropout that is g ⊙ p. The lengths come from ‖W‖²
// + 2s (W Aᵀ)·B + s² (B A Aᵀ)·B by row: as much work as r more tokens, and V is never made.
#pragma once

#include "core/matmul.h"
#include "layers/context.h"
#include "layers/lora.h"

namespace llavasharp::layers {

// What backward reads. Views into the arena.
struct AdaptedSaved {
  View u;        // [n, R]
  View product;  // p [n, out], with DoRA.
  View gains;    // [3, out], with DoRA: g, g - 1, 1 / length; 1, 0, 0 where no magnitude is.
};

// Takes it, for n rows and a group whose linears give `width` columns.
[[nodiscard]] AdaptedSaved take_adapted(core::Arena& arena, const LoraGroup& group, int64_t rows,
                                        int64_t width);

// gains [3, out] of the group over weight [out, in].
void adapted_gains(Context context, View weight, const LoraGroup& group, View gains);

// y [n, out] (+)= from x [n, in]. An empty y is not made: what backward reads is.
void adapted_forward(Context context, View weight, const LoraGroup& group, Site site, View y,
                     View x, const AdaptedSaved& saved,
                     core::Accumulate accumulate = core::Accumulate::kNo);

// dx [n, in] from dy [n, out]; gradients but for A's += where not empty. Returns du [n, R] in the
// arena, from which lora_backward_weights makes A's.
[[nodiscard]] View adapted_backward_input(Context context, View weight, const LoraGroup& group,
                                          const LoraGroup& gradients, Site site, View dx, View dy,
                                          const AdaptedSaved& saved);

// Both; x [n, in] is read where A trains.
void adapted_backward(Context context, View weight, const LoraGroup& group,
                      const LoraGroup& gradients, Site site, View dx, View dy, View x,
                      const AdaptedSaved& saved);

}  // namespace llavasharp::layers
