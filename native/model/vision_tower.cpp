#include "model/vision_tower.h"

#include <algorithm>

#include "core/matmul.h"

namespace llavasharp::model {
namespace {

using layers::Context;
using layers::Scratch;

// Rows that run at once.
constexpr int64_t kChunkRows = 4096;

// x [images·(1+P), Dv]: class token and patches, each plus its position, normalised.
void embed_images(Context context, const Config& config, const VisionWeights& weights, View x,
                  const float* pixels, int64_t images) {
  const Scratch scratch(context.arena);
  const llv_model_config& c = config.get();
  const int64_t patches = config.patches();
  const int64_t sequence = 1 + patches;
  const View unfolded =
      context.arena.take(images * patches, weights.patch_embedding.cols);  // [images·P, 3·p·p]
  const View embedded = context.arena.take(images * patches, x.cols);      // [images·P, Dv]
  int32_t* rows = context.arena.take_ints(images * patches);
  for (int64_t i = 0; i < images * patches; ++i) {
    rows[i] = static_cast<int32_t>(i / patches * sequence + 1 + i % patches);
  }
  context.kernels.patches(unfolded, pixels, images, c.image_size, c.patch_size);
  core::matmul_nt(embedded, unfolded, weights.patch_embedding);
  for (int64_t image = 0; image < images; ++image) {
    context.kernels.copy(x.row_range(image * sequence, sequence), weights.position_embedding);
    context.kernels.add(x.row_range(image * sequence, 1), weights.class_embedding);
  }
  context.kernels.scatter_rows(x, embedded, rows, true);
  layers::layer_norm_forward(context, x, x, weights.pre_norm, c.vision_norm_eps);
}

layers::ImagePacking pack_images(Context context, int64_t images, int64_t sequence) {
  int32_t* starts = context.arena.take_ints(images + 1);
  int32_t* counts = context.arena.take_ints(images);
  for (int64_t image = 0; image <= images; ++image) {
    starts[image] = static_cast<int32_t>(image * sequence);
  }
  std::fill_n(counts, images, static_cast<int32_t>(sequence));
  return {.images = images, .starts = starts, .counts = counts};
}

// All rows of `images` images: x [images·(1+P), Dv].
void run_images(Context context, const Config& config, const VisionWeights& weights, View x,
                const float* pixels, int64_t images) {
  const llv_model_config& c = config.get();
  embed_images(context, config, weights, x, pixels, images);
  const layers::ImagePacking packing = pack_images(context, images, 1 + config.patches());
  const layers::VisionLayerConfig layer{
      .heads = c.vision_heads,
      .head_dim = c.vision_hidden / c.vision_heads,
      .norm_eps = c.vision_norm_eps,
      .activation = static_cast<backend::Activation>(c.vision_activation)};
  for (int32_t i = 0; i < config.vision_layers_run(); ++i) {
    vision_layer_forward(context, layer, weights.layers[static_cast<size_t>(i)], packing, x);
  }
}

}  // namespace

int64_t vision_chunk_images(const Config& config) {
  return std::max<int64_t>(1, kChunkRows / (1 + config.patches()));
}

void vision_forward(Context context, const Config& config, const VisionWeights& weights,
                    View features, std::span<const float> pixels, const int32_t* rows) {
  const int64_t sequence = 1 + config.patches();
  const int64_t per_image = config.image_rows();
  const int64_t dropped = sequence - per_image;  // 1 when the class token is dropped.
  const int64_t chunk = vision_chunk_images(config);
  int64_t done = 0;
  while (done < features.rows) {
    const Scratch scratch(context.arena);
    const int64_t first = rows[done] / per_image;
    // A run of images that all have chosen rows, as long as a chunk.
    int64_t end = done;
    int64_t last = first;
    while (end < features.rows && rows[end] / per_image <= std::min(last + 1, first + chunk - 1)) {
      last = rows[end] / per_image;
      ++end;
    }
    const int64_t images = last - first + 1;
    const View x = context.arena.take(images * sequence, features.cols);
    run_images(context, config, weights, x, pixels.data() + first * config.image_floats(), images);
    int32_t* kept = context.arena.take_ints(end - done);
    for (int64_t i = done; i < end; ++i) {
      const int64_t image = rows[i] / per_image - first;
      kept[i - done] = static_cast<int32_t>(image * sequence + dropped + rows[i] % per_image);
    }
    context.kernels.gather_rows(features.row_range(done, end - done), x, kept);
    done = end;
  }
}

}  // namespace llavasharp::model
