#include "train/zero_memory.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"
#include "train/exchange.h"
#include "train/shards.h"

namespace llavasharp::train {
namespace {

// A buffer that only has a size.
class Counted {
 public:
  Counted() = default;
  explicit Counted(int64_t floats) : floats_(floats) {}
  [[nodiscard]] int64_t floats() const { return floats_; }

 private:
  int64_t floats_ = 0;
};

// What comes and goes, at most: a pool never gives back what it has, but for something larger.
class Pool {
 public:
  explicit Pool(size_t units) : open_(units) {}
  void open(size_t unit, int64_t floats) {
    if (open_[unit].floats() == 0 && floats > 0) {
      open_[unit] = pool_.take(floats, [](int64_t count) { return Counted(count); });
    }
  }
  void close(size_t unit) { pool_.give(std::exchange(open_[unit], Counted())); }
  [[nodiscard]] int64_t floats() const {
    int64_t sum = 0;
    for (const auto* some : {&open_, &pool_.free()}) {
      for (const Counted& one : *some) {
        sum += one.floats();
      }
    }
    return sum;
  }

 private:
  BufferPool<Counted> pool_;
  std::vector<Counted> open_;
};

// Opens and closes as Zero does, which see.
class Walk {
 public:
  Walk(const model::ParameterTable& table, int32_t trained, int32_t stage, int32_t world)
      : table_(table), weights_(table.units().size()), gradients_(table.units().size()) {
    for (const model::Unit& unit : table.units()) {
      layouts_.emplace_back(unit, (trained & unit.kind) != 0, stage, 0, world);
    }
  }

  [[nodiscard]] const std::vector<ShardLayout>& layouts() const { return layouts_; }

  void step(const llv_zero_step& step) {
    const auto unit = static_cast<size_t>(step.unit);
    if (step.op == LLV_ZERO_GATHER) {
      weights_.open(unit, layouts_[unit].pieces.floats);
    } else if (step.op == LLV_ZERO_RELEASE) {
      weights_.close(unit);
    } else if (step.op == LLV_ZERO_BACKWARD) {
      open_gradient(unit);
      const int32_t layer = table_.layer_of(step.unit);
      for (size_t other = unit + 1; layer >= 0 && other < layouts_.size(); ++other) {
        if (table_.layer_of(static_cast<int32_t>(other)) == layer) {
          open_gradient(other);
        }
      }
    } else if (step.op == LLV_ZERO_SETTLE) {
      gradients_.close(unit);
    }
  }

  [[nodiscard]] int64_t floats() const { return weights_.floats() + gradients_.floats(); }

 private:
  void open_gradient(size_t unit) {
    gradients_.open(unit, layouts_[unit].sharded_gradient ? layouts_[unit].pieces.floats : 0);
  }

  const model::ParameterTable& table_;
  std::vector<ShardLayout> layouts_;
  Pool weights_;
  Pool gradients_;
};

}  // namespace

model::Plan plan_sharded_step(const model::Config& config, const model::Workload& workload,
                              const ZeroOptions& options, int32_t world,
                              std::span<const llv_zero_step> steps) {
  check_options(options);
  if (world < 1) {
    core::fail(LLV_INVALID, "world is %d: must be at least 1", world);
  }
  model::Plan plan = model::plan_step(config, workload);
  const model::ParameterTable table = model::planned_table(config, workload);
  const ZeroSteps phases = sorted_steps(table, steps);
  Walk walk(table, workload.units, options.stage, world);
  for (const int32_t phase : {LLV_ZERO_MICRO, LLV_ZERO_LAST}) {
    if (world > 1 && (phase == LLV_ZERO_LAST || options.accumulation > 1)) {
      std::ranges::for_each(phases.at(static_cast<size_t>(phase)),
                            [&](const llv_zero_step& step) { walk.step(step); });
    }
  }
  int64_t elsewhere = 0;  // Weights that other ranks hold.
  int64_t gradients = 0;
  int64_t updated = 0;
  for (const ShardLayout& unit : walk.layouts()) {
    elsewhere += unit.pieces.floats - unit.kept_weights();
    gradients += unit.kept_gradient();
    updated += unit.trains ? unit.count : 0;
  }
  constexpr int64_t kFloatBytes = sizeof(float);
  plan.parameters -= elsewhere * kFloatBytes;
  plan.gradients = gradients * kFloatBytes;
  plan.optimizer = 2 * updated * kFloatBytes;
  const Staging staging =
      world > 1 ? staging_of(phases, walk.layouts(), options, world) : Staging{};
  plan.transient = (walk.floats() + staging.send + staging.receive) * kFloatBytes;
  return plan;
}

}  // namespace llavasharp::train
