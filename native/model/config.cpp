#include "model/config.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace llavasharp::model {
namespace {

using core::fail;

constexpr int32_t kMaxWidth = 1 << 20;
constexpr int32_t kMaxLayers = 4096;
constexpr int32_t kMaxVocabulary = 1 << 24;

void check_range(const char* name, int32_t value, int32_t low, int32_t high) {
  if (value < low || value > high) {
    fail(LLV_INVALID, "%s is %d: must be %d to %d", name, value, low, high);
  }
}

void check_positive(const char* name, double value) {
  if (!std::isfinite(value) || value <= 0.0) {
    fail(LLV_INVALID, "%s is %g: must be positive and finite", name, value);
  }
}

// Rounds to a float of `bits` explicit mantissa bits and a least normal exponent.
float round_to(float value, int bits, int least_exponent) {
  const int exponent = std::max(std::ilogb(value), least_exponent);
  const float quantum = std::ldexp(1.0F, exponent - bits);
  return std::nearbyint(value / quantum) * quantum;
}

std::vector<float> make_rope_frequencies(const llv_model_config& c) {
  std::vector<float> frequencies;
  for (int32_t i = 0; i < c.head_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(c.head_dim);
    const double power = std::pow(c.rope_theta, static_cast<double>(exponent));
    const float frequency = 1.0F / static_cast<float>(power);
    switch (c.rope_dtype) {
      case LLV_FLOAT16:
        frequencies.push_back(round_to(frequency, 10, -14));
        break;
      case LLV_BFLOAT16:
        frequencies.push_back(round_to(frequency, 7, -126));
        break;
      default:
        frequencies.push_back(frequency);
    }
  }
  return frequencies;
}

}  // namespace

Config::Config(const llv_model_config& config) : config_(config) {
  check_decoder();
  rope_frequencies_ = make_rope_frequencies(config_);
  if (config_.vision_hidden != 0) {
    check_tower();
  }
}

void Config::check_decoder() const {
  const llv_model_config& c = config_;
  check_range("hidden", c.hidden, 1, kMaxWidth);
  check_range("layers", c.layers, 1, kMaxLayers);
  check_range("heads", c.heads, 1, kMaxWidth);
  check_range("kv_heads", c.kv_heads, 1, kMaxWidth);
  check_range("head_dim", c.head_dim, 2, kMaxWidth);
  check_range("intermediate", c.intermediate, 1, kMaxWidth);
  check_range("vocabulary", c.vocabulary, 1, kMaxVocabulary);
  check_range("image_newline", c.image_newline, 0, 1);
  check_range("storage", c.storage, LLV_STORE_FLOAT32, LLV_STORE_BFLOAT16);
  if (c.linear_storage != LLV_STORE_FLOAT32) {
    check_range("linear_storage", c.linear_storage, LLV_STORE_INT8, LLV_STORE_FP4_DOUBLE);
  }
  check_positive("norm_eps", c.norm_eps);
  check_positive("rope_theta", c.rope_theta);
  check_range("rope_dtype", c.rope_dtype, LLV_FLOAT32, LLV_BFLOAT16);
  if (c.head_dim % 2 != 0) {
    fail(LLV_SHAPE, "head_dim is %d: rotary positions need an even one", c.head_dim);
  }
  if (c.heads % c.kv_heads != 0) {
    fail(LLV_SHAPE, "heads is %d: not a multiple of kv_heads, %d", c.heads, c.kv_heads);
  }
}

void Config::check_tower() {
  const llv_model_config& c = config_;
  check_range("vision_hidden", c.vision_hidden, 0, kMaxWidth);
  check_range("vision_layers", c.vision_layers, 1, kMaxLayers);
  check_range("vision_heads", c.vision_heads, 1, kMaxWidth);
  check_range("vision_intermediate", c.vision_intermediate, 1, kMaxWidth);
  check_range("image_size", c.image_size, 1, 1 << 14);
  check_range("patch_size", c.patch_size, 1, c.image_size);
  check_range("vision_activation", c.vision_activation, LLV_QUICK_GELU, LLV_GELU);
  check_range("vision_feature_layer", c.vision_feature_layer, -c.vision_layers - 1,
              c.vision_layers);
  check_range("vision_keep_class_token", c.vision_keep_class_token, 0, 1);
  check_range("projector", c.projector, LLV_PROJECTOR_IDENTITY, LLV_PROJECTOR_MLP);
  check_positive("vision_norm_eps", c.vision_norm_eps);
  if (c.projector == LLV_PROJECTOR_MLP) {
    check_range("projector_depth", c.projector_depth, 1, 64);
  }
  if (c.vision_hidden % c.vision_heads != 0) {
    fail(LLV_SHAPE, "vision_hidden is %d: not a multiple of vision_heads, %d", c.vision_hidden,
         c.vision_heads);
  }
  if (c.image_size % c.patch_size != 0) {
    fail(LLV_SHAPE, "image_size is %d: not a multiple of patch_size, %d", c.image_size,
         c.patch_size);
  }
  if (c.projector == LLV_PROJECTOR_IDENTITY && c.vision_hidden != c.hidden) {
    fail(LLV_SHAPE, "an identity projector needs vision_hidden (%d) equal to hidden (%d)",
         c.vision_hidden, c.hidden);
  }
  vision_layers_run_ = c.vision_feature_layer < 0 ? c.vision_feature_layer + c.vision_layers + 1
                                                  : c.vision_feature_layer;
}

int64_t Config::patches() const {
  if (!has_tower()) {
    return 0;
  }
  const int64_t side = config_.image_size / config_.patch_size;
  return side * side;
}

int64_t Config::image_rows() const {
  return has_tower() ? patches() + config_.vision_keep_class_token : 0;
}

int64_t Config::image_floats() const {
  return has_tower() ? int64_t{3} * config_.image_size * config_.image_size : 0;
}

int64_t Config::query_width() const {
  return int64_t{config_.heads} * config_.head_dim;
}

int64_t Config::key_value_width() const {
  return int64_t{2} * config_.kv_heads * config_.head_dim;
}

int32_t Config::projector_linears() const {
  if (!has_tower() || config_.projector == LLV_PROJECTOR_IDENTITY) {
    return 0;
  }
  return config_.projector == LLV_PROJECTOR_LINEAR ? 1 : config_.projector_depth;
}

llv_model_config default_config() {
  llv_model_config config{};
  config.size = sizeof(llv_model_config);
  config.vision_activation = LLV_QUICK_GELU;
  config.vision_feature_layer = -2;
  config.projector = LLV_PROJECTOR_MLP;
  config.projector_depth = 2;
  config.vision_norm_eps = 1e-5;
  config.norm_eps = 1e-5;
  config.rope_theta = 10000.0;
  return config;
}

}  // namespace llavasharp::model
