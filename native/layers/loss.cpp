#include "layers/loss.h"

#include <algorithm>

#include "core/matmul.h"
#include "layers/linear.h"
#include "layers/norm.h"

namespace llavasharp::layers {

void loss_forward(Context context, double norm_eps, const HeadWeights& weights, View hidden,
                  const int32_t* targets, double* losses) {
  const Scratch scratch(context.arena);
  const View normed = context.arena.take(hidden.rows, hidden.cols);  // [R, D]
  const View inverse_rms = context.arena.take(1, hidden.rows);
  rms_norm_forward(context, normed, hidden, weights.norm, norm_eps, inverse_rms);
  const View logits =
      context.arena.take(std::min(kLossChunkRows, hidden.rows), weights.weight.rows);
  for (int64_t begin = 0; begin < hidden.rows; begin += kLossChunkRows) {
    const int64_t rows = std::min(kLossChunkRows, hidden.rows - begin);
    const View chunk = logits.row_range(0, rows);  // [rows, V]
    core::matmul_nt(chunk, normed.row_range(begin, rows), weights.weight);
    context.kernels.cross_entropy(chunk, targets + begin, losses + begin, 1.0F, false);
  }
}

void loss_forward_backward(Context context, double norm_eps, const HeadWeights& weights,
                           const HeadWeights& gradients, View dhidden, View hidden,
                           const int32_t* targets, double* losses, float gradient_scale) {
  const Scratch scratch(context.arena);
  const View normed = context.arena.take(hidden.rows, hidden.cols);   // [R, D]
  const View dnormed = context.arena.take(hidden.rows, hidden.cols);  // [R, D]
  const View inverse_rms = context.arena.take(1, hidden.rows);
  rms_norm_forward(context, normed, hidden, weights.norm, norm_eps, inverse_rms);
  const View logits =
      context.arena.take(std::min(kLossChunkRows, hidden.rows), weights.weight.rows);
  for (int64_t begin = 0; begin < hidden.rows; begin += kLossChunkRows) {
    const int64_t rows = std::min(kLossChunkRows, hidden.rows - begin);
    const View chunk = logits.row_range(0, rows);  // [rows, V]
    const View chunk_normed = normed.row_range(begin, rows);
    core::matmul_nt(chunk, chunk_normed, weights.weight);
    context.kernels.cross_entropy(chunk, targets + begin, losses + begin, gradient_scale, true);
    linear_backward_input(dnormed.row_range(begin, rows), chunk, weights.weight);
    linear_backward_weights(context, {.weight = gradients.weight, .bias = {}}, chunk, chunk_normed);
  }
  context.kernels.fill(dhidden, 0.0F);
  rms_norm_backward(context, dhidden, gradients.norm, dnormed, hidden, weights.norm, inverse_rms);
}

void logits_forward(Context context, double norm_eps, const HeadWeights& weights, View logits,
                    View hidden) {
  const Scratch scratch(context.arena);
  const View normed = context.arena.take(hidden.rows, hidden.cols);  // [R, D]
  const View inverse_rms = context.arena.take(1, hidden.rows);
  rms_norm_forward(context, normed, hidden, weights.norm, norm_eps, inverse_rms);
  core::matmul_nt(logits, normed, weights.weight);
}

}  // namespace llavasharp::layers
