// The decoder's layers (LLaMA, Vicuna, Mistral): from embeddings to the last hidden states of the
// rows that are asked for.
//
// Letters: T tokens, R chosen rows (R = T without a selection), D hidden.
#pragma once

#include <span>

#include "layers/context.h"
#include "layers/packing.h"
#include "model/config.h"
#include "model/unit_order.h"
#include "model/weights.h"

namespace llavasharp::model {

struct DecoderLayerSaved {
  View x;  // [T, D] its input, borrowed.
  layers::AttentionSaved attention;
  layers::MlpSaved mlp;
  core::Arena::Mark begin = 0;  // Where the layer's part of the arena starts.
};

struct DecoderRun {
  layers::Packing packing;
  const layers::Selection* selection = nullptr;  // Of the last layer; null: all rows.
  std::span<const layers::LayerCache> caches;    // One a layer, or none.
  layers::Keep keep = layers::Keep::kNothing;
  size_t recompute = 0;  // The first so many layers keep their input alone; never the last layer.
  UnitOrder* order = nullptr;  // Told before each layer.
};

// hidden [R, D] from x [T, D]. Without a selection and with Keep::kNothing, hidden may be x. x is
// overwritten with Keep::kNothing and borrowed by `saved` otherwise: one a layer, or none with
// Keep::kNothing.
void decoder_forward(layers::Context context, const Config& config,
                     std::span<const DecoderLayerWeights> weights, const DecoderRun& run,
                     View hidden, View x, std::span<DecoderLayerSaved> saved);

// dx [T, D] from dhidden [R, D], which is overwritten; with a selection only. Rewinds the arena to
// where `saved` began, layer by layer.
void decoder_backward(layers::Context context, const Config& config,
                      std::span<const DecoderLayerWeights> weights,
                      std::span<const DecoderLayerWeights> gradients, const DecoderRun& run,
                      View dx, View dhidden, std::span<DecoderLayerSaved> saved);

}  // namespace llavasharp::model
