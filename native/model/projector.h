// LLaVA's projector: identity, one linear, or linears with exact GELU between (mlpNx_gelu).
#pragma once

#include <span>

#include "layers/context.h"
#include "layers/linear.h"
#include "layers/packing.h"

namespace llavasharp::model {

using core::View;

// What backward reads: views into the arena, which the caller rewinds.
struct ProjectorSaved {
  std::span<View> inputs;          // [F, in] of each linear.
  std::span<View> preactivations;  // [F, D] of each GELU, which follows its linear.
};

// Returns [F, D] in the arena: of features [F, Dv], or features itself for identity.
[[nodiscard]] View projector_forward(layers::Context context,
                                     std::span<const layers::Linear> weights, View features,
                                     ProjectorSaved* saved);

// Accumulates weight gradients from dy [F, D], which it overwrites, where they are not empty.
// dfeatures [F, Dv] is made unless empty: a frozen tower needs none.
void projector_backward(layers::Context context, std::span<const layers::Linear> weights,
                        std::span<const layers::Linear> gradients, View dfeatures, View dy,
                        const ProjectorSaved& saved);

}  // namespace llavasharp::model
