// CLIP's vision transformer up to the selected hidden state; the post-norm belongs to CLIP's own
// head and is never run.
#pragma once

#include <cstdint>
#include <span>

#include "layers/context.h"
#include "model/config.h"
#include "model/weights.h"

namespace llavasharp::model {

// features [F, Dv]: rows `rows` [F] (rising) of the N·L rows that the images in pixels [N,3,S,S]
// give. Images of which no row is chosen are not run.
void vision_forward(layers::Context context, const Config& config, const VisionWeights& weights,
                    View features, std::span<const float> pixels, const int32_t* rows);

// gradients += … from dfeatures [F, Dv] of the same rows. The tower runs once more, image by image
// chunk, and keeps each layer's input: forward need not know that it is trained.
void vision_backward(layers::Context context, const Config& config, const VisionWeights& weights,
                     const VisionWeights& gradients, View dfeatures, std::span<const float> pixels,
                     const int32_t* rows);

// Images that run at once: enough for full-speed products, few enough to bound the scratch.
[[nodiscard]] int64_t vision_chunk_images(const Config& config);

}  // namespace llavasharp::model
