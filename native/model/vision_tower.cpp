#include "model/vision_tower.h"

#include <algorithm>

#include "core/matmul.h"

namespace llavasharp::model {
namespace {

using layers::Context;
using layers::Scratch;

// Rows that run at once.
constexpr int64_t kChunkRows = 4096;

// Row of each patch among the rows of its images.
const int32_t* patch_rows(Context context, int64_t images, int64_t patches) {
  int32_t* rows = context.arena.take_ints(images * patches);
  for (int64_t i = 0; i < images * patches; ++i) {
    rows[i] = static_cast<int32_t>(i / patches * (1 + patches) + 1 + i % patches);
  }
  return rows;
}

// x [images·(1+P), Dv]: class token and patches, each plus its position; not yet normalised.
void place_images(Context context, const Config& config, const VisionWeights& weights, View x,
                  const float* pixels, int64_t images) {
  const Scratch scratch(context.arena);
  const llv_model_config& c = config.get();
  const int64_t patches = config.patches();
  const int64_t sequence = 1 + patches;
  const View unfolded =
      context.arena.take(images * patches, weights.patch_embedding.cols);  // [images·P, 3·p·p]
  const View embedded = context.arena.take(images * patches, x.cols);      // [images·P, Dv]
  const int32_t* rows = patch_rows(context, images, patches);
  context.kernels.patches(unfolded, pixels, images, c.image_size, c.patch_size);
  core::matmul_nt(embedded, unfolded, weights.patch_embedding);
  for (int64_t image = 0; image < images; ++image) {
    context.kernels.copy(x.row_range(image * sequence, sequence), weights.position_embedding);
    context.kernels.add(x.row_range(image * sequence, 1), weights.class_embedding);
  }
  context.kernels.scatter_rows(x, embedded, rows, true);
}

// From dx [images·(1+P), Dv] of place_images to class token, positions and patches.
void place_backward(Context context, const Config& config, const VisionWeights& gradients, View dx,
                    const float* pixels, int64_t images) {
  const Scratch scratch(context.arena);
  const llv_model_config& c = config.get();
  const int64_t patches = config.patches();
  const int64_t sequence = 1 + patches;
  const View unfolded =
      context.arena.take(images * patches, gradients.patch_embedding.cols);  // [images·P, 3·p·p]
  const View dembedded = context.arena.take(images * patches, dx.cols);      // [images·P, Dv]
  const int32_t* rows = patch_rows(context, images, patches);
  context.kernels.patches(unfolded, pixels, images, c.image_size, c.patch_size);
  context.kernels.gather_rows(dembedded, dx, rows);
  core::matmul_tn(gradients.patch_embedding, dembedded, unfolded, core::Accumulate::kYes);
  for (int64_t image = 0; image < images; ++image) {
    context.kernels.add(gradients.position_embedding, dx.row_range(image * sequence, sequence));
    context.kernels.add(gradients.class_embedding, dx.row_range(image * sequence, 1));
  }
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

layers::VisionLayerConfig layer_config(const llv_model_config& c) {
  return {.heads = c.vision_heads,
          .head_dim = c.vision_hidden / c.vision_heads,
          .norm_eps = c.vision_norm_eps,
          .activation = static_cast<backend::Activation>(c.vision_activation)};
}

// All rows of `images` images: x [images·(1+P), Dv].
void run_images(Context context, const Config& config, const VisionWeights& weights, View x,
                const float* pixels, int64_t images) {
  const llv_model_config& c = config.get();
  place_images(context, config, weights, x, pixels, images);
  layers::layer_norm_forward(context, x, x, weights.pre_norm, c.vision_norm_eps);
  const layers::ImagePacking packing = pack_images(context, images, 1 + config.patches());
  for (int32_t i = 0; i < config.vision_layers_run(); ++i) {
    vision_layer_forward(context, layer_config(c), weights.layers[static_cast<size_t>(i)], packing,
                         x);
  }
}

// dx [images·(1+P), Dv] of what run_images makes.
void run_images_backward(Context context, const Config& config, const VisionWeights& weights,
                         const VisionWeights& gradients, View dx, const float* pixels,
                         int64_t images) {
  const llv_model_config& c = config.get();
  const int32_t layers_run = config.vision_layers_run();
  const View placed = context.arena.take(dx.rows, dx.cols);
  const View inputs = context.arena.take(std::max(layers_run, 1) * dx.rows, dx.cols);
  const auto input = [&](int32_t layer) { return inputs.row_range(layer * dx.rows, dx.rows); };
  place_images(context, config, weights, placed, pixels, images);
  layers::layer_norm_forward(context, input(0), placed, weights.pre_norm, c.vision_norm_eps);
  const layers::ImagePacking packing = pack_images(context, images, 1 + config.patches());
  for (int32_t i = 0; i + 1 < layers_run; ++i) {
    context.kernels.copy(input(i + 1), input(i));
    vision_layer_forward(context, layer_config(c), weights.layers[static_cast<size_t>(i)], packing,
                         input(i + 1));
  }
  for (int32_t i = layers_run; i-- > 0;) {
    const auto at = static_cast<size_t>(i);
    vision_layer_backward(context, layer_config(c), weights.layers[at], gradients.layers[at],
                          packing, dx, input(i));
  }
  const View dplaced = input(0);  // No longer read.
  context.kernels.fill(dplaced, 0.0F);
  layers::layer_norm_backward(context, dplaced, gradients.pre_norm, dx, placed, weights.pre_norm,
                              c.vision_norm_eps);
  place_backward(context, config, gradients, dplaced, pixels, images);
}

// A run of images that all have chosen rows, as long as a chunk: [first, first + images), and where
// among all their rows the chosen ones [begin, end) of `rows` are.
struct Chunk {
  int64_t begin, end, first, images;
  const int32_t* kept;  // [end - begin]
};

// Calls `body` for each chunk of the images that rows [count], rising, choose from.
template <typename Body>
void for_chunks(Context context, const Config& config, const int32_t* rows, int64_t count,
                Body&& body) {
  const int64_t sequence = 1 + config.patches();
  const int64_t per_image = config.image_rows();
  const int64_t dropped = sequence - per_image;  // 1 when the class token is dropped.
  const int64_t most = vision_chunk_images(config);
  int64_t begin = 0;
  while (begin < count) {
    const Scratch scratch(context.arena);
    const int64_t first = rows[begin] / per_image;
    int64_t end = begin;
    int64_t last = first;
    while (end < count && rows[end] / per_image <= std::min(last + 1, first + most - 1)) {
      last = rows[end] / per_image;
      ++end;
    }
    int32_t* kept = context.arena.take_ints(end - begin);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = rows[i] / per_image - first;
      kept[i - begin] = static_cast<int32_t>(image * sequence + dropped + rows[i] % per_image);
    }
    body(Chunk{
        .begin = begin, .end = end, .first = first, .images = last - first + 1, .kept = kept});
    begin = end;
  }
}

}  // namespace

int64_t vision_chunk_images(const Config& config) {
  return std::max<int64_t>(1, kChunkRows / (1 + config.patches()));
}

void vision_forward(Context context, const Config& config, const VisionWeights& weights,
                    View features, std::span<const float> pixels, const int32_t* rows) {
  for_chunks(context, config, rows, features.rows, [&](const Chunk& chunk) {
    const View x = context.arena.take(chunk.images * (1 + config.patches()), features.cols);
    run_images(context, config, weights, x, pixels.data() + chunk.first * config.image_floats(),
               chunk.images);
    context.kernels.gather_rows(features.row_range(chunk.begin, chunk.end - chunk.begin), x,
                                chunk.kept);
  });
}

void vision_backward(Context context, const Config& config, const VisionWeights& weights,
                     const VisionWeights& gradients, View dfeatures, std::span<const float> pixels,
                     const int32_t* rows) {
  for_chunks(context, config, rows, dfeatures.rows, [&](const Chunk& chunk) {
    const View dx = context.arena.take(chunk.images * (1 + config.patches()), dfeatures.cols);
    context.kernels.fill(dx, 0.0F);
    context.kernels.scatter_rows(dx, dfeatures.row_range(chunk.begin, chunk.end - chunk.begin),
                                 chunk.kept, false);
    run_images_backward(context, config, weights, gradients, dx,
                        pixels.data() + chunk.first * config.image_floats(), chunk.images);
  });
}

}  // namespace llavasharp::model
