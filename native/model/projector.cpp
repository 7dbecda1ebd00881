#include "model/projector.h"

#include "core/matmul.h"

namespace llavasharp::model {

View projector_forward(layers::Context context, std::span<const layers::Linear> weights,
                       View features, ProjectorSaved* saved) {
  View x = features;
  if (saved != nullptr) {
    const auto count = static_cast<int64_t>(weights.size());
    saved->inputs = context.arena.take_objects<View>(count);
    saved->preactivations = context.arena.take_objects<View>(count);
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    const layers::Linear& linear = weights[i];
    const View y = context.arena.take(x.rows, linear.weight.rows);  // [F, D]
    if (saved != nullptr) {
      saved->inputs[i] = x;
    }
    if (i + 1 == weights.size()) {
      layers::linear_forward(context, y, x, linear);
      return y;
    }
    core::matmul_nt(y, x, linear.weight);
    View pre;  // [F, D]
    if (saved != nullptr) {
      pre = context.arena.take(y.rows, y.cols);
      saved->preactivations[i] = pre;
    }
    context.kernels.bias_activation_forward(y, pre, y, linear.bias, backend::Activation::kGelu);
    x = y;
  }
  return x;
}

void projector_backward(layers::Context context, std::span<const layers::Linear> weights,
                        std::span<const layers::Linear> gradients, View dfeatures, View dy,
                        const ProjectorSaved& saved) {
  const layers::Scratch scratch(context.arena);
  for (size_t i = weights.size(); i-- > 0;) {
    layers::linear_backward_weights(context, gradients[i], dy, saved.inputs[i]);
    if (i > 0) {
      const View dx = context.arena.take(dy.rows, weights[i].weight.cols);
      layers::linear_backward_input(dx, dy, weights[i].weight);
      context.kernels.activation_backward(dx, dx, saved.preactivations[i - 1],
                                          backend::Activation::kGelu);
      dy = dx;
    } else if (!dfeatures.empty()) {
      layers::linear_backward_input(dfeatures, dy, weights[i].weight);
      return;
    }
  }
  if (!dfeatures.empty()) {  // identity
    context.kernels.copy(dfeatures, dy);
  }
}

}  // namespace llavasharp::model
