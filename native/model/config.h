// A model's shape, checked once: whoever holds a Config need not check a width again.
#pragma once

#include <cstdint>
#include <vector>

#include "include/llavasharp.h"

namespace llavasharp::model {

// Dv = vision_hidden, D = hidden, V = vocabulary, S = image_size, p = patch_size.
class Config {
 public:
  // Throws LLV_INVALID for a value out of range and LLV_SHAPE for widths that do not fit together.
  explicit Config(const llv_model_config& config);

  [[nodiscard]] const llv_model_config& get() const { return config_; }
  [[nodiscard]] bool has_tower() const { return config_.vision_hidden > 0; }
  // P: patches of an image.
  [[nodiscard]] int64_t patches() const;
  // L: rows that an image gives to the decoder.
  [[nodiscard]] int64_t image_rows() const;
  // Floats of one image, 3·S·S.
  [[nodiscard]] int64_t image_floats() const;
  // Tower layers up to the selected hidden state: what a forward pass runs.
  [[nodiscard]] int32_t vision_layers_run() const { return vision_layers_run_; }
  [[nodiscard]] int64_t query_width() const;      // H·d
  [[nodiscard]] int64_t key_value_width() const;  // 2·K·d: keys, then values.
  // [head_dim/2] theta^(-2i/head_dim), in Hugging Face's float32 arithmetic, then rounded to
  // rope_dtype.
  [[nodiscard]] const float* rope_frequencies() const { return rope_frequencies_.data(); }
  // Linears in the projector: 0 for identity.
  [[nodiscard]] int32_t projector_linears() const;

 private:
  void check_tower();
  void check_decoder() const;
  llv_model_config config_;
  std::vector<float> rope_frequencies_;
  int32_t vision_layers_run_ = 0;
};

// The defaults that llv_model_config_init documents.
[[nodiscard]] llv_model_config default_config();

}  // namespace llavasharp::model
