// Trains what a model marks as trainable: accumulates gradients, clips them, updates with AdamW.
//
// Each trainable unit has flat buffers beside its weights: gradient, m and v, all float32. Weights
// are float32 themselves now; a lower compute dtype adds a float32 master here, and nowhere else.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/memory.h"
#include "model/batch.h"
#include "model/llava.h"
#include "model/passes.h"

namespace llavasharp::train {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  size_t recompute_layers = 0;  // DecoderRun's.
};

// What a parameter group uses in one step.
struct Group {
  double learning_rate = 0;
  double weight_decay = 0;
};

// llv_slot
enum class Slot : int32_t { kGradient = 0, kFirstMoment = 1, kSecondMoment = 2 };
inline constexpr size_t kSlots = 3;

// The model must outlive it, and its trainable set must not change meanwhile.
class Trainer {
 public:
  // Throws LLV_INVALID for options out of range, LLV_STATE when nothing is trainable.
  Trainer(model::Llava& model, const AdamWOptions& options);

  // Group of each row of the parameter table.
  void set_groups(std::span<const int32_t> groups);

  // gradients += scale · d(loss sum)/d(parameter). After a failure the gradients are broken, and
  // only clearing them leads on.
  [[nodiscard]] model::Loss accumulate(const model::Batch& batch, double scale);
  // Updates and clears the gradients; returns their norm before clipping.
  double step(std::span<const Group> groups, double max_gradient_norm);
  void clear_gradients();

  void read_slot(Slot slot, std::string_view name, std::span<float> values);
  void write_slot(Slot slot, std::string_view name, std::span<const float> values);

  [[nodiscard]] int64_t steps() const { return steps_; }
  void set_steps(int64_t steps);

 private:
  // What the gradient buffers hold.
  enum class Gradients : int32_t { kNone, kSome, kBroken };
  using Slots = std::array<core::Buffer, kSlots>;

  [[nodiscard]] std::span<float> slot(Slot slot, const model::Parameter& parameter);
  [[nodiscard]] const model::Parameter& find_trainable(std::string_view name);
  void check_groups(std::span<const Group> groups) const;
  [[nodiscard]] double gradient_norm() const;
  void update(std::span<const Group> groups, double gradient_scale);

  model::Llava& model_;
  AdamWOptions options_;
  std::vector<Slots> units_;  // One a unit of the table; empty buffers where frozen.
  model::Weights gradients_;  // Views of the gradient buffers.
  std::vector<int32_t> groups_;
  Gradients state_ = Gradients::kNone;
  int64_t micro_batches_ = 0;  // Since the last update or clearing: keys dropout.
  int64_t steps_ = 0;
};

}  // namespace llavasharp::train
