#include "layers/linear.h"

namespace llavasharp::layers {

void linear_forward(Context context, View y, View x, const Linear& weights) {
  core::matmul_nt(y, x, weights.weight);
  if (!weights.bias.empty()) {
    context.kernels.add_bias(y, weights.bias);
  }
}

void linear_backward_weights(Context context, const Linear& gradients, View dy, View x) {
  if (!gradients.weight.empty()) {
    core::matmul_tn(gradients.weight, dy, x, core::Accumulate::kYes);
  }
  if (!gradients.bias.empty()) {
    context.kernels.column_sum(gradients.bias, dy);
  }
}

void linear_backward_input(View dx, View dy, View weight, core::Accumulate accumulate) {
  core::matmul_nn(dx, dy, weight, accumulate);
}

}  // namespace llavasharp::layers
