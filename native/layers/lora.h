// LoRA (Hu et al. 2021), as PEFT computes it: y += s · (drop(x) Aᵀ) Bᵀ beside a linear layer.
//
// Adapters that read one input are one group: their A lie one after another, so that one product
// makes all of them, and they share the input's dropout mask, which is replayed and never stored.
// The order of products is the cheap one: through the rank, never through B·A.
//
// Letters: n rows, R the ranks of a group together, r one rank.
#pragma once

#include <array>
#include <cstdint>

#include "layers/context.h"

namespace llavasharp::layers {

// Which input of a layer a dropout mask is for.
enum class Site : uint64_t { kAttention, kAttentionRows, kAttended, kMlp, kActivated };

struct LoraPart {
  View b;                 // [out, r]
  int64_t out_begin = 0;  // First column of the group's output that it adds to.
  int64_t u_begin = 0;    // First of its columns among R.
  float scale = 0.0F;     // s
};

// Weights, or their gradients: then views are empty where frozen.
struct LoraGroup {
  View a;  // [R, in], the parts' A in their order.
  std::array<LoraPart, 3> parts;
  int32_t count = 0;  // Parts in use; 0: no adapter.
  float dropout = 0.0F;
  uint64_t seed = 0;
  [[nodiscard]] bool empty() const { return count == 0; }
  // R: a's rows, known without a.
  [[nodiscard]] int64_t ranks() const;
  // The parts first … first + parts_count alone, their outputs counted from the first one's.
  [[nodiscard]] LoraGroup slice(int64_t out_begin, int64_t out_end) const;
};

// y [n, out] += the group's share of x [n, in], unless y is empty. u [n, R] keeps s · drop(x) Aᵀ
// for backward.
void lora_forward(Context context, const LoraGroup& group, Site site, View y, View x, View u);

// dx [n, in] += the group's share of dy [n, out]; gradients += where not empty, from forward's x
// and u, which are not read otherwise.
void lora_backward(Context context, const LoraGroup& group, const LoraGroup& gradients, Site site,
                   View dx, View dy, View x, View u);

// Its halves, for an x that is made in between: all but A's gradient, returning du [n, R] in the
// arena, and A's gradient.
[[nodiscard]] View lora_backward_input(Context context, const LoraGroup& group,
                                       const LoraGroup& gradients, Site site, View dx, View dy,
                                       View u);
void lora_backward_weights(Context context, const LoraGroup& group, const LoraGroup& gradients,
                           Site site, View du, View x);

}  // namespace llavasharp::layers
