// The attention half of a decoder layer: y = x + Wo · attend(rope(Wqkv · rms_norm(x))).
//
// Letters: T tokens, R rows (R = T without a selection), D hidden, H query heads, K key-value
// heads, d head width. Queries, keys and values are one product: qkv is [T, (H+2K)·d].
#pragma once

#include "layers/adapted.h"
#include "layers/context.h"
#include "layers/lora.h"
#include "layers/packing.h"

namespace llavasharp::layers {

struct AttentionConfig {
  int32_t heads;     // H
  int32_t kv_heads;  // K
  int32_t head_dim;  // d
  double norm_eps;
  const float* rope_frequencies;  // [d/2], the config's.
};

// Weights, or their gradients: then empty where frozen.
struct AttentionWeights {
  View norm;  // [1, D]
  View qkv;   // [(H+2K)·d, D]
  View out;   // [D, H·d]
  LoraGroup qkv_lora = {};
  LoraGroup out_lora = {};
};

// What backward reads. Views into the arena, which the caller rewinds.
struct AttentionSaved {
  View x;                      // [T, D] the input, borrowed.
  View inverse_rms;            // [1, T]
  View query;                  // [R, H·d] after rope: of qkv, or its own with a selection.
  View qkv;                    // [T, (H+2K)·d] after rope; query columns unused with a selection.
  View attended;               // [R, H·d]
  View log_sum_exp;            // [R, H]
  AdaptedSaved qkv_adapted;    // T rows; with a selection of k and v.
  AdaptedSaved query_adapted;  // R rows of q, with a selection only.
  AdaptedSaved out_adapted;    // R rows.
};

// A layer's key-value cache: keys beside values after rope, in rows that the packing names.
struct LayerCache {
  View keys_values;               // [rows, 2K·d]
  const int32_t* rows = nullptr;  // [T] where each token's key and value go.
};

// y [R, D] from x [T, D]; y may be x without a selection and with Keep::kNothing. selection and
// cache may be null.
void attention_forward(Context context, const AttentionConfig& config,
                       const AttentionWeights& weights, const Packing& packing,
                       const Selection* selection, const LayerCache* cache, View y, View x,
                       Keep keep, AttentionSaved* saved);

// From dy [R, D] to dx [T, D]. Without a selection the two are the same memory, which grows in
// place.
void attention_backward(Context context, const AttentionConfig& config,
                        const AttentionWeights& weights, const AttentionWeights& gradients,
                        const Packing& packing, const Selection* selection, View dx, View dy,
                        const AttentionSaved& saved);

}  // namespace llavasharp::layers
