// Trains what a model marks as trainable: accumulates gradients, clips them, updates with AdamW.
//
// Each trainable unit has flat buffers beside its weights: gradient, m and v, all float32, whole or
// this rank's piece (shards.h). What it updates is float32; where weights are bfloat16, that is the
// master, of which passes see the nearest (model/storage.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "model/batch.h"
#include "model/llava.h"
#include "model/passes.h"
#include "train/zero.h"

namespace llavasharp::train {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  size_t recompute_layers = 0;  // DecoderRun's.
  int64_t tokens_at_once = 0;   // GradientOptions'.
  Offload offload;
};

// What a parameter group uses in one step.
struct Group {
  double learning_rate = 0;
  double weight_decay = 0;
};

// The model must outlive it, and its trainable set must not change meanwhile.
class Trainer {
 public:
  // Throws LLV_INVALID for options out of range, LLV_STATE when nothing is trainable.
  Trainer(model::Llava& model, const AdamWOptions& options);
  // Together with a communicator's other ranks (llv_trainer_create_sharded).
  Trainer(model::Llava& model, const AdamWOptions& options, const ZeroOptions& zero,
          std::shared_ptr<Communicator> communicator, std::span<const llv_zero_step> steps);

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
  // This rank's part of a unit (llv_trainer_shard_*).
  [[nodiscard]] Range shard(Slot slot, int32_t unit);
  void read_shard(Slot slot, int32_t unit, std::span<float> values);
  void write_shard(Slot slot, int32_t unit, std::span<const float> values);
  [[nodiscard]] Traffic traffic() { return zero_.traffic(); }

  [[nodiscard]] int64_t steps() const { return steps_; }
  void set_steps(int64_t steps);

 private:
  // What the gradient buffers hold.
  enum class Gradients : int32_t { kNone, kSome, kBroken };

  [[nodiscard]] std::span<float> slot(Slot slot, std::string_view name);
  void check_groups(std::span<const Group> groups) const;
  void check_micro_batches(bool update) const;
  [[nodiscard]] model::Loss run_micro_batch(const model::Batch& batch, double scale);
  void update(int32_t unit, std::span<const Group> groups, double gradient_scale);

  model::Llava& model_;
  AdamWOptions options_;
  Zero zero_;
  std::vector<int32_t> groups_;
  Gradients state_ = Gradients::kNone;
  int64_t micro_batches_ = 0;  // Since the last update or clearing: keys dropout.
  int64_t steps_ = 0;
};

}  // namespace llavasharp::train
