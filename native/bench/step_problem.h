// The training step that bench_step times: the models, batches and stages of the peer's script, so
// that both sides do the same work. Lengths are real ones; nothing is padded.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "include/llavasharp.h"

namespace llavasharp::bench {

struct StepOptions {
  std::string stage = "pretrain";  // pretrain, lora, full
  std::string size = "small";      // tiny, small
  int32_t batch = 4;
  int32_t threads = 0;
  int32_t steps = 4;
  int32_t recompute = 0;
  int32_t at_once = 0;    // Tokens; 0: the engine's choice.
  int32_t layers = 0;     // 0: the size's own.
  int32_t tokens = 0;     // Text tokens a sample; 0: the stage's own.
  double dropout = 0.05;  // Of the adapters.
  bool dora = false;
  bool json = false;
  bool floor = true;
  bool shapes = false;
};

inline constexpr int32_t kLoraRank = 128;

// Throws with the engine's message.
inline void check(llv_status status) {
  if (status != LLV_OK) {
    throw std::runtime_error(llv_error_message());
  }
}

struct ReleaseHandle {
  void operator()(llv_engine* handle) const { llv_engine_release(handle); }
  void operator()(llv_model* handle) const { llv_model_release(handle); }
  void operator()(llv_trainer* handle) const { llv_trainer_release(handle); }
};
template <typename Handle>
using Owned = std::unique_ptr<Handle, ReleaseHandle>;

inline llv_model_config step_config(const StepOptions& options) {
  const bool tiny = options.size == "tiny";
  llv_model_config c;
  check(llv_model_config_init(&c));
  c.vision_hidden = tiny ? 64 : 384;
  c.vision_layers = tiny ? 4 : 8;
  c.vision_heads = tiny ? 4 : 6;
  c.vision_intermediate = tiny ? 128 : 1536;
  c.image_size = 336;
  c.patch_size = 14;
  c.hidden = tiny ? 128 : 768;
  c.layers = options.layers > 0 ? options.layers : (tiny ? 4 : 8);
  c.heads = c.kv_heads = tiny ? 4 : 12;
  c.head_dim = c.hidden / c.heads;
  c.intermediate = tiny ? 344 : 2048;
  c.vocabulary = 32000;
  return c;
}

// Each sample: BOS, an image, text. Stage 1 supervises all of its text, stage 2 the last two
// thirds.
struct StepBatch {
  static constexpr int32_t kImageRows = 576;

  explicit StepBatch(const StepOptions& options) {
    const bool pretrain = options.stage == "pretrain";
    const std::vector<int32_t> lengths =
        pretrain ? std::vector<int32_t>{12, 18, 26, 40} : std::vector<int32_t>{90, 180, 320, 640};
    std::mt19937 random(0);
    std::normal_distribution<float> normal;
    for (int32_t sample = 0; sample < options.batch; ++sample) {
      const int32_t length =
          options.tokens > 0 ? options.tokens : lengths.at(static_cast<size_t>(sample % 4));
      add_sample(length, pretrain ? 0 : length / 3, random);
    }
    pixels.resize(static_cast<size_t>(options.batch) * 3 * 336 * 336);
    for (float& pixel : pixels) {
      pixel = normal(random);
    }
  }
  [[nodiscard]] llv_batch view() const {
    const auto count = [](const auto& values) { return static_cast<int64_t>(values.size()); };
    llv_batch batch;
    check(llv_batch_init(&batch));
    batch.tokens = tokens.data();
    batch.tokens_count = count(tokens);
    batch.labels = labels.data();
    batch.labels_count = count(labels);
    batch.positions = positions.data();
    batch.positions_count = count(positions);
    batch.cu_seqlens = starts.data();
    batch.cu_seqlens_count = count(starts);
    batch.image_slots = slots.data();
    batch.image_slots_count = count(slots);
    batch.pixels = pixels.data();
    batch.pixels_count = count(pixels);
    return batch;
  }
  [[nodiscard]] int64_t samples() const { return static_cast<int64_t>(starts.size()) - 1; }

  std::vector<int32_t> tokens, labels, positions, starts{0}, slots;
  std::vector<float> pixels;
  std::vector<int32_t> rows;           // That predict a supervised token.
  std::vector<int32_t> row_starts{0};  // [B+1]
  std::vector<int32_t> visible;        // [T]

 private:
  void add_sample(int32_t length, int32_t unsupervised, std::mt19937& random) {
    const int32_t first = starts.back();
    const int32_t count = 1 + kImageRows + length;
    for (int32_t i = 0; i < count; ++i) {
      const bool text = i > kImageRows;
      const bool image = i > 0 && !text;
      const auto id = static_cast<int32_t>(3 + random() % 30997);
      tokens.push_back(text ? id : 1);
      const bool supervised = text && i - 1 - kImageRows >= unsupervised;
      labels.push_back(supervised ? id : LLV_IGNORE_LABEL);
      if (supervised) {
        rows.push_back(first + i - 1);
      }
      if (image) {
        slots.push_back(first + i);
      }
      positions.push_back(i);
      visible.push_back(i + 1);
    }
    starts.push_back(first + count);
    row_starts.push_back(static_cast<int32_t>(rows.size()));
  }
};

// Weights of a size at which activations stay near one; the stage's adapters and trainable set.
inline void prepare_model(llv_model* model, const StepOptions& options) {
  int64_t count = 0;
  check(llv_model_parameter_count(model, &count));
  std::vector<std::string> linears;
  for (int64_t i = 0; i < count; ++i) {
    llv_parameter row;
    check(llv_model_parameter_get(model, i, &row));
    const std::string name = row.name;
    const double fan_in = static_cast<double>(row.count) / static_cast<double>(row.shape[0]);
    if (row.rank > 1) {
      check(llv_model_parameter_fill(model, row.name, LLV_FILL_NORMAL, 0,
                                     name == "embed.weight" ? 0.02 : 0.5 / std::sqrt(fan_in), 1));
    } else {
      const double value = name.ends_with("norm.weight") || name.ends_with("norm1.weight") ||
                                   name.ends_with("norm2.weight")
                               ? 1
                               : 0;
      check(llv_model_parameter_fill(model, row.name, LLV_FILL_CONSTANT, value, 0, 1));
    }
    if (row.unit_kind == LLV_UNIT_LAYER && name.ends_with("_proj.weight")) {
      linears.push_back(name);
    }
  }
  int32_t units = LLV_UNIT_PROJECTOR;
  if (options.stage == "full") {
    units |= LLV_UNIT_EMBED | LLV_UNIT_LAYER | LLV_UNIT_HEAD;
  }
  if (options.stage == "lora") {
    llv_lora lora;
    check(llv_lora_init(&lora));
    lora.rank = kLoraRank;
    lora.alpha = 256;
    lora.dropout = options.dropout;
    lora.decomposed = options.dora ? 1 : 0;
    for (const std::string& linear : linears) {
      check(llv_model_lora_attach(model, &lora, linear.c_str()));
    }
    units |= LLV_UNIT_LORA;
  }
  check(llv_model_trainable_set(model, units));
}

}  // namespace llavasharp::bench
