// One training run, by one process or by ranks, and what it leaves behind.
#pragma once

#include <algorithm>

#include "support/ranks.h"

namespace llavasharp::test {

struct ZeroRun {
  int32_t stage = 0;
  int32_t world = 1;
  int32_t accumulation = 1;
  int32_t units = kAllButTower;
  bool lora = false;
  int32_t recompute = 0;
  int32_t steps = 4;
  double learning_rate = 3e-3;
  bool newline = false;
  int32_t storage = LLV_STORE_FLOAT32;
  int32_t linear_storage = LLV_STORE_FLOAT32;
  bool dora = false;
  bool joined = false;
};

inline void PrintTo(const ZeroRun& run, std::ostream* out) {
  *out << "stage " << run.stage << ", " << run.world << " ranks, accumulation " << run.accumulation
       << (run.lora ? ", lora" : "") << ", units " << run.units;
}

struct Outcome {
  std::vector<double> losses;  // Of each update, over all its micro-batches.
  std::vector<double> norms;
  std::vector<std::vector<float>> units;  // Weights, by unit.
  bool operator==(const Outcome&) const = default;
};

inline Model run_model(const Engine& engine, const ZeroRun& run) {
  llv_model_config config = tiny_config();
  config.image_newline = run.newline ? 1 : 0;
  config.storage = run.storage;
  config.linear_storage = run.linear_storage;
  Model model = make_model(engine, config);
  fill_lively(model);
  if (run.lora) {
    for (const char* name : {"layer.0.self_attn.q_proj.weight", "layer.0.mlp.up_proj.weight",
                             "layer.1.self_attn.v_proj.weight", "layer.1.mlp.down_proj.weight"}) {
      llv_lora lora;
      ok(llv_lora_init(&lora));
      lora.dropout = 0.1;
      lora.decomposed = run.dora ? 1 : 0;
      ok(llv_model_lora_attach(model.get(), &lora, name));
    }
  }
  ok(llv_model_trainable_set(model.get(), run.units));
  return model;
}

// What micro-batch `index` of a run holds: images and text, text alone, or images alone.
inline Batch run_batch(int64_t index, uint32_t seed = 1) {
  const llv_model_config config = tiny_config();
  const auto key = static_cast<uint32_t>(index) * 7919U + seed;
  Drawer draw(config, key);
  Batch batch;
  const uint32_t kind = key % 3;
  if (kind != 0) {
    draw.add_image(batch, 1 + key % 4, 5, 3);
  }
  if (kind != 1) {
    draw.add_text(batch, 6 + key % 5, 4);
  }
  return batch;
}

// The units whose weights a trainer has: all, but for what is frozen and not float32.
inline std::vector<int32_t> units_of(const Model& model, const ZeroRun& run) {
  const bool all = run.storage == LLV_STORE_FLOAT32 && run.linear_storage == LLV_STORE_FLOAT32;
  std::vector<int32_t> units;
  for (const llv_parameter& row : table_of(model)) {
    if ((all || row.trainable != 0) && (units.empty() || units.back() != row.unit)) {
      units.push_back(row.unit);
    }
  }
  std::ranges::sort(units);
  units.erase(std::ranges::unique(units).begin(), units.end());
  return units;
}

inline constexpr double kScale = 0.05;
inline constexpr llv_group kGroup{.learning_rate = 3e-3, .weight_decay = 0.1};

// A unit's weights, whole, from every rank's part.
inline std::vector<float> unit_weights(const Trainer& trainer, const Communicator& communicator,
                                       int32_t unit) {
  llv_shard shard{};
  ok(llv_trainer_shard_get(trainer.get(), LLV_SLOT_WEIGHT, unit, &shard));
  std::vector<float> part(static_cast<size_t>(shard.count));
  ok(llv_trainer_shard_read(trainer.get(), LLV_SLOT_WEIGHT, unit, part.data(), shard.count));
  const std::vector<int64_t> places = gather(communicator, std::vector{shard.begin, shard.count});
  int64_t longest = 0;
  for (size_t rank = 0; rank < places.size() / 2; ++rank) {
    longest = std::max(longest, places[2 * rank + 1]);
  }
  part.resize(static_cast<size_t>(longest));
  const std::vector<float> parts = gather(communicator, part);
  std::vector<float> whole(static_cast<size_t>(shard.whole));
  for (size_t rank = 0; rank < places.size() / 2; ++rank) {
    std::copy_n(parts.begin() + static_cast<int64_t>(rank) * longest, places[2 * rank + 1],
                whole.begin() + places[2 * rank]);
  }
  return whole;
}

// This rank's share of a run; every rank gets the same outcome.
inline Outcome train(
    const ZeroRun& run, const Communicator& communicator, int32_t rank,
    const std::function<Batch(int64_t)>& batch_of = [](int64_t index) {
      return run_batch(index);
    }) {
  const Engine engine = make_engine(1);
  const Model model = run_model(engine, run);
  const Trainer trainer =
      make_sharded(model, communicator, zero_options(run.stage, run.accumulation), run.recompute,
                   true, run.joined);
  Outcome outcome;
  for (int32_t step = 0; step < run.steps; ++step) {
    double sum = 0;
    for (int32_t micro = 0; micro < run.accumulation; ++micro) {
      const int64_t index = (static_cast<int64_t>(step) * run.accumulation + micro) * run.world;
      sum += accumulate(trainer, batch_of(index + rank), kScale).sum;
    }
    double loss = 0;
    for (const double part : gather(communicator, std::vector{sum})) {
      loss += part;
    }
    outcome.losses.push_back(loss);
    double norm = 0;
    const llv_group group{.learning_rate = run.learning_rate, .weight_decay = 0.1};
    ok(llv_trainer_step(trainer.get(), &group, 1, 1.0, &norm));
    outcome.norms.push_back(norm);
  }
  for (const int32_t unit : units_of(model, run)) {
    outcome.units.push_back(unit_weights(trainer, communicator, unit));
  }
  return outcome;
}

// The same samples in the same updates, by one process without a plan.
inline Outcome train_alone(
    const ZeroRun& run, const std::function<Batch(int64_t)>& batch_of = [](int64_t index) {
      return run_batch(index);
    }) {
  const Engine engine = make_engine(1);
  const Model model = run_model(engine, run);
  const Trainer trainer = make_trainer(model);
  Outcome outcome;
  for (int32_t step = 0; step < run.steps; ++step) {
    double sum = 0;
    const int32_t micros = run.accumulation * run.world;
    for (int32_t micro = 0; micro < micros; ++micro) {
      sum += accumulate(trainer, batch_of(static_cast<int64_t>(step) * micros + micro), kScale).sum;
    }
    outcome.losses.push_back(sum);
    double norm = 0;
    const llv_group group{.learning_rate = run.learning_rate, .weight_decay = 0.1};
    ok(llv_trainer_step(trainer.get(), &group, 1, 1.0, &norm));
    outcome.norms.push_back(norm);
  }
  for (const int32_t unit : units_of(model, run)) {
    llv_shard shard{};
    ok(llv_trainer_shard_get(trainer.get(), LLV_SLOT_WEIGHT, unit, &shard));
    std::vector<float> values(static_cast<size_t>(shard.count));
    ok(llv_trainer_shard_read(trainer.get(), LLV_SLOT_WEIGHT, unit, values.data(), shard.count));
    outcome.units.push_back(std::move(values));
  }
  return outcome;
}

inline void expect_equal(const Outcome& ours, const Outcome& reference, double tolerance) {
  ASSERT_EQ(ours.losses.size(), reference.losses.size());
  for (size_t i = 0; i < ours.losses.size(); ++i) {
    EXPECT_NEAR(ours.losses[i], reference.losses[i], tolerance * reference.losses[i]) << i;
    EXPECT_NEAR(ours.norms[i], reference.norms[i], 10 * tolerance * reference.norms[i]) << i;
  }
  ASSERT_EQ(ours.units.size(), reference.units.size());
  for (size_t unit = 0; unit < ours.units.size(); ++unit) {
    EXPECT_LE(relative_error(ours.units[unit], reference.units[unit]), tolerance) << unit;
  }
}

}  // namespace llavasharp::test
