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
  View magnitude;         // [1, out] with DoRA (adapted.h), else empty.
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
  // Whether a part has a magnitude: of weights, not of gradients.
  [[nodiscard]] bool decomposed() const;
  // R: a's rows, known without a.
  [[nodiscard]] int64_t ranks() const;
  // The parts first … first + parts_count alone, their outputs counted from the first one's.
  [[nodiscard]] LoraGroup slice(int64_t out_begin, int64_t out_end) const;
};

// Whether this pass drops out.
[[nodiscard]] bool lora_drops(Context context, const LoraGroup& group);
// What the adapters read of x [n, in]: x itself, or x dropped out, in the arena.
[[nodiscard]] View lora_input(Context context, const LoraGroup& group, Site site, View x);

// u [n, R] = s · x Aᵀ, of what lora_input gave.
void lora_down(Context context, const LoraGroup& group, View u, View x);
// y [n, out] += u Bᵀ.
void lora_up(const LoraGroup& group, View y, View u);

// du [n, R], of x Aᵀ, from dy [n, out]; B's gradients += where not empty.
void lora_up_backward(Context context, const LoraGroup& group, const LoraGroup& gradients, View du,
                      View dy, View u);
// dx [n, in] += du A through the dropout.
void lora_down_backward(Context context, const LoraGroup& group, Site site, View dx, View du);
// dx [n, in] += the gradient of what lora_input gave, through its mask.
void lora_drop_backward(Context context, const LoraGroup& group, Site site, View dx, View dinput);
// A's gradient += duᵀ x̃ where not empty; x [n, in] is not read otherwise.
void lora_backward_weights(Context context, const LoraGroup& group, const LoraGroup& gradients,
                           Site site, View du, View x);

}  // namespace llavasharp::layers
