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
  s.gate_up_adapted = take_adapted(arena, weights.gate_up_lora, x.rows, weights.gate_up.rows);
  s.down_adapted = take_adapted(arena, weights.down_lora, x.rows, weights.down.rows);
  const core::Arena::Mark kept = arena.mark();
  const View normed = arena.take(x.rows, x.cols);                // [R, D]
  const View activated = arena.take(x.rows, weights.down.cols);  // [R, I]

  rms_norm_forward(context, normed, x, weights.norm, norm_eps, s.inverse_rms);
  adapted_forward(context, weights.gate_up, weights.gate_up_lora, Site::kMlp, s.gate_up, normed,
                  s.gate_up_adapted);
  if (!y.empty() || !weights.down_lora.empty()) {
    context.kernels.swiglu_forward(activated, s.gate_up);
  }
  if (!y.empty() && y.data != x.data) {
    context.kernels.copy(y, x);
  }
  adapted_forward(context, weights.down, weights.down_lora, Site::kActivated, y, activated,
                  s.down_adapted, core::Accumulate::kYes);

  arena.rewind(keep == Keep::kNothing ? start : kept);
  if (saved != nullptr) {
    *saved = s;
  }
}

namespace {

// From dy [R, D] to the gradient of gate_up, in its place.
void down_backward(Context context, const MlpWeights& weights, const MlpWeights& gradients, View dy,
                   const MlpSaved& saved) {
  const Scratch scratch(context.arena);
  const View dactivated = context.arena.take(dy.rows, weights.down.cols);  // [R, I]
  const View du =
      adapted_backward_input(context, weights.down, weights.down_lora, gradients.down_lora,
                             Site::kActivated, dactivated, dy, saved.down_adapted);
  const bool trains = !gradients.down.empty() || !gradients.down_lora.a.empty();
  const View activated = trains ? dactivated : View{};  // In its gradient's place.
  context.kernels.swiglu_backward(saved.gate_up, activated, dactivated, saved.gate_up);
  linear_backward_weights(context, {.weight = gradients.down, .bias = {}}, dy, activated);
  lora_backward_weights(context, weights.down_lora, gradients.down_lora, Site::kActivated, du,
                        activated);
}

}  // namespace

void mlp_backward(Context context, double norm_eps, const MlpWeights& weights,
                  const MlpWeights& gradients, View dy, const MlpSaved& saved) {
  down_backward(context, weights, gradients, dy, saved);
  const Scratch scratch(context.arena);
  const View& dgate_up = saved.gate_up;                       // [R, 2I]
  const View dnormed = context.arena.take(dy.rows, dy.cols);  // [R, D]
  View normed;                                                // [R, D]
  if (!gradients.gate_up.empty() || !gradients.gate_up_lora.a.empty()) {
    normed = context.arena.take(dy.rows, dy.cols);
    rms_norm_forward(context, normed, saved.x, weights.norm, norm_eps, saved.inverse_rms);
  }
  linear_backward_weights(context, {.weight = gradients.gate_up, .bias = {}}, dgate_up, normed);
  adapted_backward(context, weights.gate_up, weights.gate_up_lora, gradients.gate_up_lora,
                   Site::kMlp, dnormed, dgate_up, normed, saved.gate_up_adapted);
  rms_norm_backward(context, dy, gradients.norm, dnormed, saved.x, weights.norm, saved.inverse_rms);
}

}  // namespace llavasharp::layers
