// A LLaVA model on an engine: its config, its parameter table, the units' buffers, what trains.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/memory.h"
#include "model/config.h"
#include "model/engine.h"
#include "model/parameters.h"
#include "model/storage.h"
#include "model/weights.h"

namespace llavasharp::model {

// The engine must outlive it.
class Llava {
 public:
  // All parameters zero, none trainable.
  Llava(Engine& engine, const Config& config);

  [[nodiscard]] Engine& engine() const { return engine_; }
  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] const ParameterTable& table() const { return table_; }
  [[nodiscard]] const Weights& weights() const { return weights_; }

  // The values of a parameter, by name or table row; throws LLV_INVALID for an unknown name.
  [[nodiscard]] std::span<float> values(std::string_view name);
  [[nodiscard]] std::span<float> values(const Parameter& parameter);

  // Copies a parameter in; throws LLV_SHAPE with both shapes, or both byte counts.
  void write(std::string_view name, core::DType dtype, std::span<const int64_t> shape,
             std::span<const std::byte> bytes);
  // Copies a parameter out; values must have its element count.
  void read(std::string_view name, std::span<float> values);
  // Draws a parameter (llv_model_parameter_fill).
  void fill(std::string_view name, int32_t fill, double a, double b, int64_t seed);

  // Adds an adapter beside a decoder linear: A drawn as PEFT draws it, keyed by (seed, name), B
  // zero, a magnitude the row's length. Not while merged. Gradients bound before no longer fit.
  void attach_lora(const LoraOptions& options, std::string_view weight_name);
  // W += s · B A for each adapter, rows then scaled to their magnitudes, and it rests; and the
  // opposite. Throws LLV_STATE where there is nothing to do, or no way back.
  void merge_lora();
  void unmerge_lora();
  [[nodiscard]] bool lora_merged() const { return lora_merged_; }

  // A unit's buffer, out of the model: until floats are lent to it, nothing computes with it. For
  // weights that lie in shards, or in buffers that come and go. Null ends a loan.
  [[nodiscard]] core::Buffer take_unit(int32_t unit);
  void lend_unit(int32_t unit, float* floats);
  // Where the part of a taken unit is that this process keeps: write() and fill() put their values'
  // share there. No floats: nowhere any more.
  struct Part {
    float* data = nullptr;
    int64_t begin = 0, count = 0;  // Floats of the unit.
    bool kept = false;
  };
  void keep_part(int32_t unit, const Part& part) { parts_[static_cast<size_t>(unit)] = part; }
  [[nodiscard]] float* unit_data(int32_t unit) const {
    return addresses_[static_cast<size_t>(unit)];
  }
  // Throws LLV_STATE where a unit's weights lie in shards.
  void check_whole() const;

  // Makes float32 of a unit that is stored in fewer bits, for passes to see in the working buffer
  // until another one's are wanted; nothing for the others. Passes use OpenUnits.
  void open_unit(int32_t unit);
  void close_unit();
  // Throws LLV_UNSUPPORTED where a unit of these kinds is not float32: its weights cannot be merged
  // into, nor divided.
  void check_float32(int32_t unit_kinds, const char* what) const;

  // A mask of llv_unit_kind. Units that are stored as bfloat16 become float32 masters, or bfloat16
  // again; throws LLV_UNSUPPORTED for others that are not float32.
  void set_trainable(int32_t unit_kinds);
  [[nodiscard]] bool trains(int32_t unit_kind) const { return (trainable_ & unit_kind) != 0; }

 private:
  void bind();
  void set_master(int32_t unit, bool master);
  [[nodiscard]] Storage unit_storage(int32_t unit) const {
    return storage_of(config_, table_.units()[static_cast<size_t>(unit)]);
  }
  void add_lora_products(double sign);
  [[nodiscard]] std::vector<std::vector<float>> row_gains() const;
  void scale_rows(bool merging);
  // Magnitudes of a DoRA adapter as a fresh one has them: the lengths of its weight's rows.
  void measure_rows(const Parameter& weight);
  void measure_rows(const Parameter& weight, std::span<const float> values);
  void check_writable(const Parameter& parameter) const;
  [[nodiscard]] bool decomposed(const Parameter& weight) const;
  // Whether the parameter's values belong to a part that is kept.
  [[nodiscard]] bool in_part(const Parameter& parameter) const;
  void write_part(const Parameter& parameter, core::DType dtype, const std::byte* bytes);
  Engine& engine_;
  Config config_;
  ParameterTable table_;
  std::vector<core::Buffer> units_;  // One a unit of the table; empty where taken or stored.
  std::vector<StoredUnit> stored_;   // In fewer bits: the others are empty.
  std::vector<float*> addresses_;    // Where the units' floats are; null: nowhere.
  std::vector<float*> visible_;      // What passes see of them: the same, or the working buffer.
  core::Buffer working_;             // Float32 of the unit that is open.
  int32_t open_ = -1;                // None.
  std::vector<Part> parts_;          // Of units that are nowhere.
  Weights weights_;
  int32_t trainable_ = 0;
  bool lora_merged_ = false;
  std::vector<std::vector<float>> merged_gains_;  // Of each DoRA adapter, while merged.
};

// Throws LLV_SHAPE unless `given` is the parameter's element count.
void check_count(const Parameter& parameter, int64_t given);

}  // namespace llavasharp::model
