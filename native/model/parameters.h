// The table that names every parameter, once: loading, initialisation, AdamW and checkpoints walk
// it.
//
// Parameters live in units (vision, projector, embed, layer.i, head, newline), each one flat
// buffer. Adapters come later: a layer's are a unit of their own after those, and their rows end
// the table. Every tensor begins on a 64-byte boundary, except those that one matrix product reads
// together (q, k and v; gate and up), which are adjacent.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/view.h"
#include "include/llavasharp.h"
#include "model/config.h"

namespace llavasharp::model {

using Shape = std::array<int64_t, LLV_RANK_MAX>;

struct Parameter {
  std::string name;
  int32_t unit_kind;  // llv_unit_kind
  int32_t unit;
  int32_t rank;
  bool decay;
  Shape shape;     // 1 beyond rank.
  int64_t count;   // Elements.
  int64_t offset;  // Floats from the start of its unit's buffer.
};

struct Unit {
  int32_t kind;      // llv_unit_kind
  std::string name;  // "vision", "layer.0", …
  int64_t floats;    // Size of its buffer, padding included.
};

// Table indices of a weight and its bias; -1 where there is none.
struct Pair {
  int64_t weight = -1;
  int64_t bias = -1;
};

struct VisionLayerRows {
  Pair norm1, query, key, value, out, norm2, fc1, fc2;
};

struct DecoderLayerRows {
  int64_t input_norm, query, key, value, out, post_norm, gate, up, down;
};

// How an adapter computes.
struct LoraOptions {
  int64_t rank = 0;
  double alpha = 0;
  double dropout = 0;
  int64_t seed = 0;
  bool rank_stabilized = false;
  bool decomposed = false;            // DoRA.
  [[nodiscard]] float scale() const;  // alpha / rank, or alpha / √rank.
};

// An adapter's parameters; no adapter where a is -1.
struct LoraRows {
  int64_t a = -1, b = -1, magnitude = -1;  // The last with DoRA only.
  LoraOptions options;
};

struct DecoderLayerLora {
  LoraRows query, key, value, out, gate, up, down;
};

// A linear of a decoder layer that can carry an adapter. Those with one `input` read the same.
struct LoraTarget {
  int64_t DecoderLayerRows::* weight;
  LoraRows DecoderLayerLora::* lora;
  int32_t input;
};
[[nodiscard]] std::span<const LoraTarget> lora_targets();

// Floats up to the next 64-byte boundary.
[[nodiscard]] constexpr int64_t aligned(int64_t floats) {
  return (floats + 15) / 16 * 16;
}

// Units before the decoder layers': vision, projector, embed.
inline constexpr int32_t kFirstLayerUnit = 3;

// Where each parameter of the model is in the table.
struct Rows {
  int64_t class_embedding = -1, patch_embedding = -1, position_embedding = -1;
  Pair pre_norm, post_norm;
  std::vector<VisionLayerRows> vision_layers;
  std::vector<Pair> projector;
  int64_t embed = -1;
  std::vector<DecoderLayerRows> layers;
  std::vector<DecoderLayerLora> lora;  // One a layer.
  int64_t head_norm = -1, head = -1;
  int64_t newline = -1;  // image_newline, where the config has it.
};

class ParameterTable {
 public:
  explicit ParameterTable(const Config& config);

  [[nodiscard]] const std::deque<Parameter>& parameters() const { return parameters_; }
  [[nodiscard]] const std::vector<Unit>& units() const { return units_; }
  [[nodiscard]] const Rows& rows() const { return rows_; }
  // The unit of a kind of which there is one.
  [[nodiscard]] int32_t unit_of(int32_t kind) const;
  // The decoder layer of a layer's or an adapter's unit; -1 for others.
  [[nodiscard]] int32_t layer_of(int32_t unit) const;
  // Throws LLV_INVALID with the name when there is no such parameter.
  [[nodiscard]] const Parameter& find(std::string_view name) const;

  // The adapter beside a parameter; null where there is none.
  [[nodiscard]] const LoraRows* adapter_of(const Parameter& weight) const;
  // Whether a decoder linear carries a DoRA adapter.
  [[nodiscard]] bool decomposed() const;
  // Adds an adapter beside a decoder linear's weight, and lays its layer's adapter unit out anew.
  // Returns the unit. Throws LLV_UNSUPPORTED for any other parameter, LLV_STATE where there is an
  // adapter already, LLV_INVALID where one on the same input drops out otherwise.
  int32_t add_lora(std::string_view weight_name, const LoraOptions& options);

 private:
  enum class Place : bool { kAligned, kAdjacent };
  void begin_unit(int32_t kind, std::string name);
  void end_unit();
  int64_t add(const std::string& name, std::initializer_list<int64_t> shape, bool decay = true,
              Place place = Place::kAligned);
  Pair add_norm(const std::string& name, int64_t width);
  Pair add_linear(const std::string& name, int64_t out, int64_t in);
  void add_vision(const Config& config);
  void add_vision_layer(const std::string& name, const llv_model_config& c);
  void add_projector(const Config& config);
  void add_layer(int32_t index, const Config& config);
  int32_t lora_unit(size_t layer);
  int64_t add_adapter(Parameter parameter);
  void lay_out_lora(size_t layer, int32_t unit);

  std::deque<Parameter> parameters_;  // Rows stay where they are: names are handed out.
  std::vector<Unit> units_;
  Rows rows_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace llavasharp::model
