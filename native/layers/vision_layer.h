// A layer of CLIP's vision tower: x += attend(layer_norm1(x)); x += mlp(layer_norm2(x)).
// Backward makes again what it reads from the layer's input: a tower is rarely trained.
#pragma once

#include "layers/context.h"
#include "layers/linear.h"
#include "layers/norm.h"

namespace llavasharp::layers {

struct VisionLayerConfig {
  int32_t heads;
  int32_t head_dim;
  double norm_eps;
  backend::Activation activation;
};

// Letters: Dv width, Iv intermediate.
struct VisionLayerWeights {
  LayerNorm norm1;  // [1, Dv]
  Linear qkv;       // [3·Dv, Dv]
  Linear out;       // [Dv, Dv]
  LayerNorm norm2;  // [1, Dv]
  Linear fc1;       // [Iv, Dv]
  Linear fc2;       // [Dv, Iv]
};

// Images of equally many rows, laid end to end.
struct ImagePacking {
  int64_t images = 0;
  const int32_t* starts = nullptr;  // [images+1]
  const int32_t* counts = nullptr;  // [images] rows of each.
};

// x [rows, Dv], in place.
void vision_layer_forward(Context context, const VisionLayerConfig& config,
                          const VisionLayerWeights& weights, const ImagePacking& packing, View x);

// dx [rows, Dv], in place, from the layer's input x; gradients += ….
void vision_layer_backward(Context context, const VisionLayerConfig& config,
                           const VisionLayerWeights& weights, const VisionLayerWeights& gradients,
                           const ImagePacking& packing, View dx, View x);

}  // namespace llavasharp::layers
