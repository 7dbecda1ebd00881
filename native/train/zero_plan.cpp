#include "train/zero_plan.h"

#include <algorithm>
#include <string>

#include "core/error.h"

namespace llavasharp::train {
namespace {

using core::fail;

constexpr std::array<const char*, 10> kOps{"GATHER", "WAIT",   "FORWARD", "BACKWARD", "RELEASE",
                                           "REDUCE", "SETTLE", "NORM",    "ADAMW",    "PUBLISH"};
constexpr std::array<const char*, kPhases> kPhaseNames{"MICRO", "LAST", "UPDATE"};

// What belongs to images is small, and used as a batch has them: every rank holds it whole.
constexpr int32_t kReplicated = LLV_UNIT_VISION | LLV_UNIT_PROJECTOR | LLV_UNIT_NEWLINE;

// What has happened to a unit so far in a phase.
struct UnitProgress {
  enum class Weights : int32_t { kShard, kUnderWay, kWhole };
  Weights weights = Weights::kShard;
  bool forward = false, backward = false, reduced = false, settled = false;
  bool updated = false, published = false;
  int32_t waits = -1;  // The op that is joined to one that has not come yet.
};

class Checker {
 public:
  Checker(const model::Llava& model, const ZeroOptions& options)
      : model_(model), stage_(options.stage), units_(model.table().units()) {}

  void check_phase(size_t phase, std::span<const llv_zero_step> steps,
                   std::span<const size_t> indices) {
    phase_ = phase;
    state_.assign(units_.size(), {});
    last_compute_ = -1;
    norm_ = false;
    for (size_t i = 0; i < steps.size(); ++i) {
      step_ = &steps[i];
      index_ = indices[i];
      check_step();
    }
    check_end();
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    fail(LLV_INVALID, "step %zu of the plan (%s, %s of %s): %s", index_, kPhaseNames.at(phase_),
         kOps.at(static_cast<size_t>(step_->op)), unit_name(step_->unit), why.c_str());
  }
  [[noreturn]] void lacks(int32_t unit, const char* what) const {
    fail(LLV_INVALID, "phase %s of the plan has no %s of %s", kPhaseNames.at(phase_), what,
         unit_name(unit));
  }
  void demand(bool holds, const char* why) const {
    if (!holds) {
      refuse(why);
    }
  }
  [[nodiscard]] const char* unit_name(int32_t unit) const {
    return units_[static_cast<size_t>(unit)].name.c_str();
  }
  [[nodiscard]] int32_t kind(int32_t unit) const { return units_[static_cast<size_t>(unit)].kind; }
  [[nodiscard]] bool trains(int32_t unit) const {
    return model_.trains(kind(unit)) && units_[static_cast<size_t>(unit)].floats > 0;
  }
  [[nodiscard]] bool sharded(int32_t unit) const { return shards_weights(stage_, kind(unit)); }
  [[nodiscard]] bool published(int32_t unit) const { return stage_ > 0 && !sharded(unit); }
  [[nodiscard]] bool reduces() const { return stage_ >= 2 || phase_ == LLV_ZERO_LAST; }
  [[nodiscard]] int32_t units() const { return static_cast<int32_t>(units_.size()); }
  [[nodiscard]] UnitProgress& state(int32_t unit) { return state_[static_cast<size_t>(unit)]; }

  // Forward goes up the units before the adapters, backward down them; newline, the last of the
  // table, is used where the projector is.
  [[nodiscard]] int32_t place(bool forward, int32_t unit) const {
    const int32_t at = kind(unit) == LLV_UNIT_NEWLINE ? 3 : 2 * unit;
    return forward ? at : 4 * units() - at;
  }

  void check_step() {
    const int32_t unit = step_->unit;
    const bool update = phase_ == LLV_ZERO_UPDATE;
    UnitProgress& now = state(unit);
    using Weights = UnitProgress::Weights;
    if (update != (step_->op >= LLV_ZERO_NORM)) {
      refuse(update ? "NORM, ADAMW and PUBLISH alone belong here" : "this belongs to UPDATE");
    }
    check_joined(now);
    switch (step_->op) {
      case LLV_ZERO_GATHER:
        demand(sharded(unit), "its weights are not sharded");
        demand(now.weights == Weights::kShard, "it is gathered already");
        now.weights = Weights::kUnderWay;
        break;
      case LLV_ZERO_WAIT:
        demand(now.weights == Weights::kUnderWay, "there is no GATHER to wait for");
        now.weights = Weights::kWhole;
        break;
      case LLV_ZERO_RELEASE:
        demand(now.weights == Weights::kWhole, "its weights are not whole");
        now.weights = Weights::kShard;
        break;
      case LLV_ZERO_FORWARD:
      case LLV_ZERO_BACKWARD:
        check_compute(unit, step_->op == LLV_ZERO_FORWARD);
        break;
      case LLV_ZERO_REDUCE:
        demand(trains(unit), "it does not train");
        demand(reduces(), "this stage reduces in LAST only");
        demand(now.backward, "its BACKWARD comes first");
        demand(!now.reduced, "it is reduced already");
        now.reduced = true;
        break;
      case LLV_ZERO_SETTLE:
        demand(now.reduced && !now.settled, "there is no REDUCE to wait for");
        now.settled = true;
        break;
      default:
        check_update(now, unit);
    }
  }

  // An exchange begins with the last of the steps that are joined to it; nothing waits for it
  // before.
  void check_joined(UnitProgress& now) {
    const int32_t op = step_->op;
    const bool joins = op == LLV_ZERO_GATHER || op == LLV_ZERO_REDUCE || op == LLV_ZERO_PUBLISH;
    demand(step_->joined == 0 || (step_->joined == 1 && joins),
           "joined is 0, or 1 of a GATHER, REDUCE or PUBLISH");
    demand(op != LLV_ZERO_WAIT || now.waits != LLV_ZERO_GATHER,
           "its GATHER has not begun: it is joined to a later one");
    demand(op != LLV_ZERO_SETTLE || now.waits != LLV_ZERO_REDUCE,
           "its REDUCE has not begun: it is joined to a later one");
    if (step_->joined == 1) {
      now.waits = op;
    } else if (joins) {
      for (UnitProgress& other : state_) {
        other.waits = other.waits == op ? -1 : other.waits;
      }
    }
  }

  void check_compute(int32_t unit, bool forward) {
    demand(kind(unit) != LLV_UNIT_LORA, "adapters compute with their layer");
    const int32_t at = place(forward, unit);
    demand(at > last_compute_, "it is out of order");
    last_compute_ = at;
    if (forward ||
        kind(unit) != LLV_UNIT_EMBED) {  // Its backward scatters rows: no weight is read.
      check_whole(unit);
    }
    mark(unit, forward);
    for (int32_t adapter = 0; adapter < units(); ++adapter) {
      if (kind(adapter) == LLV_UNIT_LORA &&
          model_.table().layer_of(adapter) == model_.table().layer_of(unit)) {
        check_whole(adapter);
        mark(adapter, forward);
      }
    }
  }
  void check_whole(int32_t unit) {
    if (sharded(unit) && state(unit).weights != UnitProgress::Weights::kWhole) {
      refuse(std::string("the weights of ") + unit_name(unit) + " are not whole");
    }
  }
  void mark(int32_t unit, bool forward) {
    (forward ? state(unit).forward : state(unit).backward) = true;
  }

  void check_update(UnitProgress& now, int32_t unit) {
    if (step_->op == LLV_ZERO_NORM) {
      demand(!norm_, "there is one already");
      norm_ = true;
      return;
    }
    demand(trains(unit), "it does not train");
    if (step_->op == LLV_ZERO_ADAMW) {
      demand(norm_, "NORM comes first");
      demand(!now.updated, "it is updated already");
      now.updated = true;
    } else {
      demand(published(unit), "each rank has its weights, or its shard of them, already");
      demand(now.updated, "its ADAMW comes first");
      demand(!now.published, "it is published already");
      now.published = true;
    }
  }

  void check_end() {
    for (int32_t unit = 0; unit < units(); ++unit) {
      if (state(unit).waits >= 0) {
        fail(LLV_INVALID, "phase %s of the plan has no %s that the one of %s is joined to",
             kPhaseNames.at(phase_), kOps.at(static_cast<size_t>(state(unit).waits)),
             unit_name(unit));
      }
      if (phase_ == LLV_ZERO_UPDATE) {
        check_updated(unit);
      } else {
        check_computed(unit);
      }
    }
    if (phase_ == LLV_ZERO_UPDATE && !norm_) {
      fail(LLV_INVALID, "phase UPDATE of the plan has no NORM");
    }
  }
  void check_updated(int32_t unit) {
    if (trains(unit) && !state(unit).updated) {
      lacks(unit, "ADAMW");
    }
    if (trains(unit) && published(unit) && !state(unit).published) {
      lacks(unit, "PUBLISH");
    }
  }
  void check_computed(int32_t unit) {
    const UnitProgress& now = state(unit);
    const bool decoder = (kind(unit) & kReplicated) == 0;
    if (decoder && !now.forward) {
      lacks(unit, "FORWARD");
    }
    // Through all layers, unless the head alone trains.
    const bool through = model_.trains(~LLV_UNIT_HEAD);
    const bool back = trains(unit) || kind(unit) == LLV_UNIT_HEAD ||
                      (through && (kind(unit) & (LLV_UNIT_LAYER | LLV_UNIT_LORA)) != 0);
    if (back && !now.backward) {
      lacks(unit, "BACKWARD");
    }
    if (trains(unit) && reduces() && !now.settled) {
      lacks(unit, now.reduced ? "SETTLE" : "REDUCE");
    }
    if (now.weights != UnitProgress::Weights::kShard) {
      lacks(unit, "RELEASE");
    }
  }

  const model::Llava& model_;
  int32_t stage_;
  const std::vector<model::Unit>& units_;
  std::vector<UnitProgress> state_;
  size_t phase_ = 0;
  size_t index_ = 0;
  const llv_zero_step* step_ = nullptr;
  int32_t last_compute_ = -1;
  bool norm_ = false;
};

}  // namespace

void check_options(const ZeroOptions& options) {
  const auto check = [](bool holds, const char* name, int64_t value, const char* range) {
    if (!holds) {
      fail(LLV_INVALID, "%s is %lld: must be %s", name, static_cast<long long>(value), range);
    }
  };
  check(options.stage >= 0 && options.stage <= 3, "stage", options.stage, "0 to 3");
  check(options.accumulation >= 1, "accumulation", options.accumulation, "at least 1");
  check(options.reduce_bucket >= 1, "reduce_bucket", options.reduce_bucket, "at least 1");
  check(options.delay_us >= 0, "delay_us", options.delay_us, "0 or more");
  check(options.fault >= LLV_FAULT_NONE && options.fault <= LLV_FAULT_NAN, "fault", options.fault,
        "0 to 4");
}

bool shards_weights(int32_t stage, int32_t unit_kind) {
  return stage == 3 && (unit_kind & kReplicated) == 0;
}

namespace {

// The phases, and with `indices` where each step stands among all.
ZeroSteps sort_steps(const model::ParameterTable& table, std::span<const llv_zero_step> steps,
                     std::array<std::vector<size_t>, kPhases>* indices) {
  ZeroSteps phases;
  for (size_t i = 0; i < steps.size(); ++i) {
    const llv_zero_step& step = steps[i];
    const auto check = [&](const char* name, int32_t value, size_t count) {
      if (value < 0 || static_cast<size_t>(value) >= count) {
        fail(LLV_INVALID, "step %zu of the plan: %s is %d, must be 0 to %zu", i, name, value,
             count - 1);
      }
    };
    check("phase", step.phase, kPhases);
    check("op", step.op, kOps.size());
    check("unit", step.unit, table.units().size());
    phases.at(static_cast<size_t>(step.phase)).push_back(step);
    if (indices != nullptr) {
      indices->at(static_cast<size_t>(step.phase)).push_back(i);
    }
  }
  return phases;
}

}  // namespace

ZeroSteps sorted_steps(const model::ParameterTable& table, std::span<const llv_zero_step> steps) {
  return sort_steps(table, steps, nullptr);
}

ZeroSteps checked_steps(const model::Llava& model, const ZeroOptions& options,
                        std::span<const llv_zero_step> steps) {
  check_options(options);
  std::array<std::vector<size_t>, kPhases> indices;
  ZeroSteps phases = sort_steps(model.table(), steps, &indices);
  Checker checker(model, options);
  for (size_t phase = 0; phase < kPhases; ++phase) {
    if (phase != LLV_ZERO_MICRO || options.accumulation > 1 || !phases[phase].empty()) {
      checker.check_phase(phase, phases.at(phase), indices.at(phase));
    }
  }
  return phases;
}

}  // namespace llavasharp::train
