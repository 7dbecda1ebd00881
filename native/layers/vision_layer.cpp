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

}  // namespace

void vision_layer_forward(Context context, const VisionLayerConfig& config,
                          const VisionLayerWeights& weights, const ImagePacking& packing, View x) {
  const Scratch scratch(context.arena);
  const int64_t width = x.cols;
  const View normed = context.arena.take(x.rows, width);   // [rows, Dv], then attended.
  const View qkv = context.arena.take(x.rows, 3 * width);  // [rows, 3·Dv]
  const View inner = context.arena.take(x.rows, weights.fc1.weight.rows);  // [rows, Iv]

  layer_norm_forward(context, normed, x, weights.norm1, config.norm_eps);
  linear_forward(context, qkv, normed, weights.qkv);
  const backend::AttentionShape shape{
      .samples = packing.images,
      .q_start = packing.starts,
      .k_start = packing.starts,
      .k_count = packing.counts,
      .q_visible = nullptr,
      .heads = config.heads,
      .kv_heads = config.heads,
      .head_dim = config.head_dim,
      .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)))};
  context.kernels.attention_forward(normed, View{}, qkv.col_range(0, width),
                                    qkv.col_range(width, width), qkv.col_range(2 * width, width),
                                    shape);
  add_linear(context, x, normed, weights.out);

  layer_norm_forward(context, normed, x, weights.norm2, config.norm_eps);
  core::matmul_nt(inner, normed, weights.fc1.weight);
  context.kernels.bias_activation_forward(inner, View{}, inner, weights.fc1.bias,
                                          config.activation);
  add_linear(context, x, inner, weights.fc2);
}

}  // namespace llavasharp::layers
