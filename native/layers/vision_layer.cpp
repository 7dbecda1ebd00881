#include "layers/vision_layer.h"

#include <cmath>

#include "core/matmul.h"

namespace llavasharp::layers {
namespace {

// x += h Wᵀ + b.
void add_linear(Context context, View x, View h, const Linear& weights) {
  core::matmul_nt(x, h, weights.weight, core::Accumulate::kYes);
  context.kernels.add_bias(x, weights.bias);
}

backend::AttentionShape shape_of(const VisionLayerConfig& config, const ImagePacking& packing) {
  return {.samples = packing.images,
          .q_start = packing.starts,
          .k_start = packing.starts,
          .k_count = packing.counts,
          .q_visible = nullptr,
          .heads = config.heads,
          .kv_heads = config.heads,
          .head_dim = config.head_dim,
          .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)))};
}

// The first half: attended [rows, Dv], before its linear; normed and qkv are overwritten.
void attend(Context context, const VisionLayerConfig& config, const VisionLayerWeights& weights,
            const ImagePacking& packing, View attended, View log_sum_exp, View normed, View qkv,
            View x) {
  const int64_t width = x.cols;
  layer_norm_forward(context, normed, x, weights.norm1, config.norm_eps);
  linear_forward(context, qkv, normed, weights.qkv);
  context.kernels.attention_forward(attended, log_sum_exp, qkv.col_range(0, width),
                                    qkv.col_range(width, width), qkv.col_range(2 * width, width),
                                    shape_of(config, packing));
}

// dx through x += mlp(layer_norm2(x)), where x is what the MLP's half read.
void mlp_backward(Context context, const VisionLayerConfig& config,
                  const VisionLayerWeights& weights, const VisionLayerWeights& gradients, View dx,
                  View x) {
  const Scratch scratch(context.arena);
  const int64_t inner_width = weights.fc1.weight.rows;
  const View normed = context.arena.take(x.rows, x.cols);      // [rows, Dv], then its gradient.
  const View pre = context.arena.take(x.rows, inner_width);    // [rows, Iv]
  const View inner = context.arena.take(x.rows, inner_width);  // [rows, Iv], then its gradient.
  layer_norm_forward(context, normed, x, weights.norm2, config.norm_eps);
  core::matmul_nt(inner, normed, weights.fc1.weight);
  context.kernels.bias_activation_forward(inner, pre, inner, weights.fc1.bias, config.activation);
  linear_backward_weights(context, gradients.fc2, dx, inner);
  linear_backward_input(inner, dx, weights.fc2.weight);
  context.kernels.activation_backward(inner, inner, pre, config.activation);
  linear_backward_weights(context, gradients.fc1, inner, normed);
  linear_backward_input(normed, inner, weights.fc1.weight);
  layer_norm_backward(context, dx, gradients.norm2, normed, x, weights.norm2, config.norm_eps);
}

}  // namespace

void vision_layer_forward(Context context, const VisionLayerConfig& config,
                          const VisionLayerWeights& weights, const ImagePacking& packing, View x) {
  const Scratch scratch(context.arena);
  const int64_t width = x.cols;
  const View normed = context.arena.take(x.rows, width);   // [rows, Dv], then attended.
  const View qkv = context.arena.take(x.rows, 3 * width);  // [rows, 3·Dv]
  const View inner = context.arena.take(x.rows, weights.fc1.weight.rows);  // [rows, Iv]

  attend(context, config, weights, packing, normed, View{}, normed, qkv, x);
  add_linear(context, x, normed, weights.out);

  layer_norm_forward(context, normed, x, weights.norm2, config.norm_eps);
  core::matmul_nt(inner, normed, weights.fc1.weight);
  context.kernels.bias_activation_forward(inner, View{}, inner, weights.fc1.bias,
                                          config.activation);
  add_linear(context, x, inner, weights.fc2);
}

void vision_layer_backward(Context context, const VisionLayerConfig& config,
                           const VisionLayerWeights& weights, const VisionLayerWeights& gradients,
                           const ImagePacking& packing, View dx, View x) {
  const Scratch scratch(context.arena);
  const int64_t width = x.cols;
  const View normed = context.arena.take(x.rows, width);    // [rows, Dv]
  const View qkv = context.arena.take(x.rows, 3 * width);   // [rows, 3·Dv]
  const View attended = context.arena.take(x.rows, width);  // [rows, Dv]
  const View log_sum_exp = context.arena.take(x.rows, config.heads);
  const View between = context.arena.take(x.rows, width);  // [rows, Dv] x after attention.
  attend(context, config, weights, packing, attended, log_sum_exp, normed, qkv, x);
  context.kernels.copy(between, x);
  add_linear(context, between, attended, weights.out);
  mlp_backward(context, config, weights, gradients, dx, between);

  const View dattended = between;                           // [rows, Dv], no longer read.
  const View dqkv = context.arena.take(x.rows, 3 * width);  // [rows, 3·Dv]
  linear_backward_weights(context, gradients.out, dx, attended);
  linear_backward_input(dattended, dx, weights.out.weight);
  context.kernels.attention_backward(
      dqkv.col_range(0, width), dqkv.col_range(width, width), dqkv.col_range(2 * width, width),
      dattended, attended, log_sum_exp, qkv.col_range(0, width), qkv.col_range(width, width),
      qkv.col_range(2 * width, width), shape_of(config, packing));
  linear_backward_weights(context, gradients.qkv, dqkv, normed);
  linear_backward_input(normed, dqkv, weights.qkv.weight);
  layer_norm_backward(context, dx, gradients.norm1, normed, x, weights.norm1, config.norm_eps);
}

}  // namespace llavasharp::layers
