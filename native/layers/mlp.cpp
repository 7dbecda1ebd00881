#include "layers/mlp.h"

#include "core/matmul.h"
#include "layers/linear.h"
#include "layers/norm.h"

namespace llavasharp::layers {

void mlp_forward(Context context, double norm_eps, const MlpWeights& weights, View y, View x,
                 Keep keep, MlpSaved* saved) {
  core::Arena& arena = context.arena;
  const core::Arena::Mark start = arena.mark();
  MlpSaved s;
  s.x = x;
  s.inverse_rms = arena.take(1, x.rows);
  s.gate_up = arena.take(x.rows, weights.gate_up.rows);
  const core::Arena::Mark kept_for_input = arena.mark();
  s.normed = arena.take(x.rows, x.cols);
  s.activated = arena.take(x.rows, weights.down.cols);
  s.gate_up_u = arena.take(x.rows, weights.gate_up_lora.ranks());
  s.down_u = arena.take(x.rows, weights.down_lora.ranks());

  rms_norm_forward(context, s.normed, x, weights.norm, norm_eps, s.inverse_rms);
  core::matmul_nt(s.gate_up, s.normed, weights.gate_up);
  lora_forward(context, weights.gate_up_lora, Site::kMlp, s.gate_up, s.normed, s.gate_up_u);
  context.kernels.swiglu_forward(s.activated, s.gate_up);
  if (!y.empty()) {
    if (y.data != x.data) {
      context.kernels.copy(y, x);
    }
    core::matmul_nt(y, s.activated, weights.down, core::Accumulate::kYes);
  }
  lora_forward(context, weights.down_lora, Site::kActivated, y, s.activated, s.down_u);

  if (keep != Keep::kForWeights) {
    arena.rewind(keep == Keep::kNothing ? start : kept_for_input);
  }
  if (saved != nullptr) {
    *saved = s;
  }
}

void mlp_backward(Context context, const MlpWeights& weights, const MlpWeights& gradients, View dy,
                  const MlpSaved& saved) {
  const Scratch scratch(context.arena);
  const View dactivated = context.arena.take(dy.rows, weights.down.cols);  // [R, I]
  linear_backward_input(dactivated, dy, weights.down);
  linear_backward_weights(context, {.weight = gradients.down, .bias = {}}, dy, saved.activated);
  lora_backward(context, weights.down_lora, gradients.down_lora, Site::kActivated, dactivated, dy,
                saved.activated, saved.down_u);

  const View dgate_up = saved.gate_up;  // [R, 2I]
  context.kernels.swiglu_backward(dgate_up, dactivated, saved.gate_up);
  linear_backward_weights(context, {.weight = gradients.gate_up, .bias = {}}, dgate_up,
                          saved.normed);
  const View dnormed = context.arena.take(dy.rows, dy.cols);  // [R, D]
  linear_backward_input(dnormed, dgate_up, weights.gate_up);
  lora_backward(context, weights.gate_up_lora, gradients.gate_up_lora, Site::kMlp, dnormed,
                dgate_up, saved.normed, saved.gate_up_u);
  rms_norm_backward(context, dy, gradients.norm, dnormed, saved.x, weights.norm, saved.inverse_rms);
}

}  // namespace llavasharp::layers
