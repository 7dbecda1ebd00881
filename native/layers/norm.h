// Normalisations, forward and backward: RMSNorm of the decoder and LayerNorm of the vision tower.
#pragma once

#include "layers/context.h"

namespace llavasharp::layers {

// y = x · w / rms(x) a row; inverse_rms [1, rows] is written, for backward.
void rms_norm_forward(Context context, View y, View x, View weight, double eps, View inverse_rms);

// dx += …, on top of the residual stream's gradient that is already there; dweight += … unless
// empty.
void rms_norm_backward(Context context, View dx, View dweight, View dy, View x, View weight,
                       View inverse_rms);

struct LayerNorm {
  View weight;  // [1, width]
  View bias;    // [1, width]
};

// y = (x - mean) / √(var + eps) · w + b a row.
void layer_norm_forward(Context context, View y, View x, const LayerNorm& weights, double eps);

// dx += …; gradients += … unless empty. Statistics are made again from x.
void layer_norm_backward(Context context, View dx, const LayerNorm& gradients, View dy, View x,
                         const LayerNorm& weights, double eps);

}  // namespace llavasharp::layers
