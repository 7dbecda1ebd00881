// The parameter table as layers see it: views into the units' buffers, fused where one product
// reads several tensors. The same structure over gradient buffers names where gradients go.
#pragma once

#include <span>
#include <vector>

#include "layers/attention.h"
#include "layers/linear.h"
#include "layers/loss.h"
#include "layers/mlp.h"
#include "layers/norm.h"
#include "layers/vision_layer.h"
#include "model/parameters.h"

namespace llavasharp::model {

using core::View;

struct VisionWeights {
  View class_embedding;     // [1, Dv]
  View patch_embedding;     // [Dv, 3·p·p]
  View position_embedding;  // [1+P, Dv]
  layers::LayerNorm pre_norm;
  std::vector<layers::VisionLayerWeights> layers;
};

struct DecoderLayerWeights {
  layers::AttentionWeights attention;
  layers::MlpWeights mlp;
};

struct Weights {
  VisionWeights vision;
  std::vector<layers::Linear> projector;
  View embed;  // [V, D]
  std::vector<DecoderLayerWeights> layers;
  layers::HeadWeights head;
  View newline;  // [1, D], or empty.
};

// Parameter `row` of the table in its unit's buffer: [first dimension, all others], a vector as
// [1, n]. Empty where units[unit] is null.
[[nodiscard]] View parameter_view(const ParameterTable& table, int64_t row,
                                  std::span<float* const> units);

// Views of the whole table; units [table.units()] are the buffers' addresses, null for none.
[[nodiscard]] Weights bind_weights(const ParameterTable& table, std::span<float* const> units);

// Makes the views of one unit anew; allocates nothing.
void rebind_unit(Weights& weights, const ParameterTable& table, int32_t unit,
                 std::span<float* const> units);

}  // namespace llavasharp::model
