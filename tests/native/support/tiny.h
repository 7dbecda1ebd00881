// Tiny models and batches for tests.
#pragma once

#include <random>
#include <string>

#include "support/api.h"

namespace llavasharp::test {

inline llv_model_config tiny_config() {
  llv_model_config c;
  ok(llv_model_config_init(&c));
  c.vision_hidden = 24;
  c.vision_layers = 2;
  c.vision_heads = 2;
  c.vision_intermediate = 40;
  c.image_size = 12;
  c.patch_size = 4;
  c.hidden = 24;
  c.layers = 2;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 12;
  c.intermediate = 28;
  c.vocabulary = 37;
  return c;
}

inline llv_model_config tiny_text_config() {
  llv_model_config c = tiny_config();
  c.vision_hidden = 0;
  return c;
}

inline int64_t image_rows_of(const llv_model_config& c) {
  const int64_t side = c.image_size / c.patch_size;
  return c.vision_hidden == 0 ? 0 : side * side + c.vision_keep_class_token;
}

// Weights of about unit gain, norms around 1, so that every gradient is alive.
inline void fill_lively(const Model& model, int64_t seed = 7) {
  for (const llv_parameter& row : table_of(model)) {
    const std::string name = row.name;
    if (row.rank > 1) {
      const double fan_in = static_cast<double>(row.count) / static_cast<double>(row.shape[0]);
      ok(llv_model_parameter_fill(model.get(), row.name, LLV_FILL_NORMAL, 0,
                                  name == "embed.weight" ? 1.0 : 0.8 / std::sqrt(fan_in), seed));
    } else if (name.ends_with("weight")) {
      ok(llv_model_parameter_fill(model.get(), row.name, LLV_FILL_UNIFORM, 0.7, 1.3, seed));
    } else {
      ok(llv_model_parameter_fill(model.get(), row.name, LLV_FILL_NORMAL, 0, 0.1, seed));
    }
  }
}

// Draws samples for a model.
class Drawer {
 public:
  Drawer(const llv_model_config& config, uint32_t seed) : config_(config), random_(seed) {}

  std::vector<int32_t> tokens(size_t count) {
    std::vector<int32_t> values(count);
    for (int32_t& value : values) {
      value = static_cast<int32_t>(random_() % static_cast<uint32_t>(config_.vocabulary));
    }
    return values;
  }
  std::vector<float> image() {
    std::uniform_real_distribution<float> unit(-2, 2);
    std::vector<float> values(static_cast<size_t>(3 * config_.image_size * config_.image_size));
    for (float& value : values) {
      value = unit(random_);
    }
    return values;
  }
  // Text whose last `supervised` tokens are labelled.
  void add_text(Batch& batch, size_t count, size_t supervised) {
    const std::vector<int32_t> ids = tokens(count);
    std::vector<int32_t> labels(count, LLV_IGNORE_LABEL);
    for (size_t t = count - supervised; t < count; ++t) {
      labels[t] = ids[t];
    }
    batch.add(ids, labels);
  }
  // `before` tokens, an image, `after` tokens of which the last `supervised` are labelled.
  void add_image(Batch& batch, size_t before, size_t after, size_t supervised) {
    const auto first = static_cast<int32_t>(batch.tokens.size() + before);
    const int64_t rows = image_rows_of(config_);
    add_text(batch, before + static_cast<size_t>(rows) + after, supervised);
    batch.add_image(image(), first, rows);
  }

 private:
  llv_model_config config_;
  std::mt19937 random_;
};

// Two images, text between and after, a sample of one token.
inline Batch mixed_batch(const llv_model_config& config, uint32_t seed = 3) {
  Batch batch;
  Drawer draw(config, seed);
  draw.add_image(batch, 2, 7, 4);
  draw.add_text(batch, 9, 5);
  draw.add_text(batch, 1, 1);
  draw.add_image(batch, 0, 3, 1);
  return batch;
}

inline constexpr int32_t kAllButTower =
    LLV_UNIT_PROJECTOR | LLV_UNIT_EMBED | LLV_UNIT_LAYER | LLV_UNIT_HEAD | LLV_UNIT_NEWLINE;

}  // namespace llavasharp::test
