#include "layers/norm.h"

namespace llavasharp::layers {

void rms_norm_forward(Context context, View y, View x, View weight, double eps, View inverse_rms) {
  context.kernels.rms_norm_forward(y, x, weight, static_cast<float>(eps), inverse_rms.f32());
}

void rms_norm_backward(Context context, View dx, View dweight, View dy, View x, View weight,
                       View inverse_rms) {
  context.kernels.rms_norm_backward(dx, true, dweight, dy, x, weight, inverse_rms.f32());
}

void layer_norm_forward(Context context, View y, View x, const LayerNorm& weights, double eps) {
  context.kernels.layer_norm_forward(y, x, weights.weight, weights.bias, static_cast<float>(eps));
}

void layer_norm_backward(Context context, View dx, const LayerNorm& gradients, View dy, View x,
                         const LayerNorm& weights, double eps) {
  const Scratch scratch(context.arena);
  const View statistics = context.arena.take(2, x.rows);
  context.kernels.layer_norm_backward(dx, gradients.weight, gradients.bias, dy, x, weights.weight,
                                      static_cast<float>(eps), statistics);
}

}  // namespace llavasharp::layers
