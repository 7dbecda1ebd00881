// Ranks for tests: threads with a local communicator each, or this process's own under mpirun; and
// the plan that a sharded trainer follows.
#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <thread>

#include "support/tiny.h"

namespace llavasharp::test {

inline Communicator make_communicator(int32_t kind, int32_t rank, int32_t world,
                                      const std::string& address, int32_t timeout_ms) {
  llv_communicator_options options;
  ok(llv_communicator_options_init(&options));
  options.kind = kind;
  options.rank = rank;
  options.world = world;
  options.timeout_ms = timeout_ms;
  options.address = address.c_str();
  llv_communicator* communicator = nullptr;
  ok(llv_communicator_create(&options, &communicator));
  return Communicator(communicator);
}

// Runs body(communicator, rank) on `world` threads.
inline void run_ranks(int32_t world, const std::function<void(const Communicator&, int32_t)>& body,
                      int32_t timeout_ms = 120'000) {
  static std::atomic<int> groups{0};
  const std::string name = "test" + std::to_string(groups++);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(world));
  for (int32_t rank = 0; rank < world; ++rank) {
    threads.emplace_back([&, rank] {
      const Communicator communicator =
          make_communicator(LLV_COMMUNICATOR_LOCAL, rank, world, name, timeout_ms);
      body(communicator, rank);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// A plan; with prefetch, a unit is gathered while the one before it computes.
class PlanMaker {
 public:
  PlanMaker(const Model& model, int32_t stage, bool prefetch = true)
      : stage_(stage), prefetch_(prefetch) {
    for (const llv_parameter& row : table_of(model)) {
      const auto unit = static_cast<size_t>(row.unit);
      if (units_.size() <= unit) {
        units_.resize(unit + 1);
      }
      units_[unit].kind = row.unit_kind;
      units_[unit].trains = row.trainable != 0;
      const std::string name = row.name;
      if (name.starts_with("layer.")) {
        units_[unit].layer = std::stoi(name.substr(6));
      }
    }
  }

  std::vector<llv_zero_step> make() {
    for (const int32_t phase : {+LLV_ZERO_MICRO, +LLV_ZERO_LAST}) {
      phase_ = phase;
      const std::vector<int32_t> order = compute_order();
      pass(order, LLV_ZERO_FORWARD);
      pass({order.rbegin(), order.rend()}, LLV_ZERO_BACKWARD);
      for (const int32_t kind : {+LLV_UNIT_NEWLINE, +LLV_UNIT_PROJECTOR, +LLV_UNIT_VISION}) {
        for (const int32_t unit : all([&](const Unit& u) { return u.trains && u.kind == kind; })) {
          add(LLV_ZERO_BACKWARD, unit);
          if (reduces()) {
            add(LLV_ZERO_REDUCE, unit);
          }
        }
      }
      for (const int32_t unit : all([&](const Unit& u) { return u.trains; })) {
        if (reduces()) {
          add(LLV_ZERO_SETTLE, unit);
        }
      }
    }
    phase_ = LLV_ZERO_UPDATE;
    add(LLV_ZERO_NORM, 0);
    for (const int32_t unit : all([&](const Unit& u) { return u.trains; })) {
      add(LLV_ZERO_ADAMW, unit);
      if (stage_ > 0 && !sharded(unit)) {
        add(LLV_ZERO_PUBLISH, unit);
      }
    }
    return steps_;
  }

 private:
  struct Unit {
    int32_t kind = LLV_UNIT_VISION;
    bool trains = false;
    int32_t layer = -1;
  };
  void add(int32_t op, int32_t unit) {
    steps_.push_back({.phase = phase_, .op = op, .unit = unit, .joined = 0});
  }
  template <typename Test>
  std::vector<int32_t> all(Test test) const {
    std::vector<int32_t> found;
    for (size_t unit = 0; unit < units_.size(); ++unit) {
      if (test(units_[unit])) {
        found.push_back(static_cast<int32_t>(unit));
      }
    }
    return found;
  }
  [[nodiscard]] bool sharded(int32_t unit) const {
    constexpr int32_t kWhole = LLV_UNIT_VISION | LLV_UNIT_PROJECTOR | LLV_UNIT_NEWLINE;
    return stage_ == 3 && (units_[static_cast<size_t>(unit)].kind & kWhole) == 0;
  }
  [[nodiscard]] bool reduces() const { return stage_ >= 2 || phase_ == LLV_ZERO_LAST; }
  [[nodiscard]] std::vector<int32_t> compute_order() const {
    return all([](const Unit& u) {
      return (u.kind & (LLV_UNIT_EMBED | LLV_UNIT_LAYER | LLV_UNIT_HEAD)) != 0;
    });
  }
  // The unit and what computes with it.
  [[nodiscard]] std::vector<int32_t> with_adapters(int32_t unit) const {
    std::vector<int32_t> together{unit};
    const Unit& own = units_[static_cast<size_t>(unit)];
    for (const int32_t other : all([&](const Unit& u) {
           return u.kind == LLV_UNIT_LORA && own.kind == LLV_UNIT_LAYER && u.layer == own.layer;
         })) {
      together.push_back(other);
    }
    return together;
  }
  void each(int32_t op, int32_t unit) {
    for (const int32_t one : with_adapters(unit)) {
      if (sharded(one)) {
        add(op, one);
      }
    }
  }
  void pass(const std::vector<int32_t>& order, int32_t op) {
    if (prefetch_) {
      each(LLV_ZERO_GATHER, order[0]);
    }
    for (size_t i = 0; i < order.size(); ++i) {
      if (!prefetch_) {
        each(LLV_ZERO_GATHER, order[i]);
      } else if (i + 1 < order.size()) {
        each(LLV_ZERO_GATHER, order[i + 1]);
      }
      each(LLV_ZERO_WAIT, order[i]);
      add(op, order[i]);
      each(LLV_ZERO_RELEASE, order[i]);
      for (const int32_t one : with_adapters(order[i])) {
        if (op == LLV_ZERO_BACKWARD && reduces() && units_[static_cast<size_t>(one)].trains) {
          add(LLV_ZERO_REDUCE, one);
        }
      }
    }
  }

  int32_t stage_;
  bool prefetch_;
  int32_t phase_ = 0;
  std::vector<Unit> units_;
  std::vector<llv_zero_step> steps_;
};

// Joins exchanges: gathers that stand side by side, all reductions of a phase, all publications.
inline void join(std::vector<llv_zero_step>& steps) {
  for (size_t i = 0; i < steps.size(); ++i) {
    const llv_zero_step& step = steps[i];
    const bool beside = step.op == LLV_ZERO_GATHER;
    const bool all = step.op == LLV_ZERO_REDUCE || step.op == LLV_ZERO_PUBLISH;
    const size_t last = beside ? std::min(i + 2, steps.size()) : all ? steps.size() : i;
    for (size_t next = i + 1; next < last; ++next) {
      if (steps[next].phase == step.phase && steps[next].op == step.op) {
        steps[i].joined = 1;
      }
    }
  }
}

inline llv_zero_options zero_options(int32_t stage, int32_t accumulation) {
  llv_zero_options options;
  ok(llv_zero_options_init(&options));
  options.stage = stage;
  options.accumulation = accumulation;
  options.reduce_bucket = 700;  // Several exchanges a unit.
  return options;
}

inline Trainer make_sharded(const Model& model, const Communicator& communicator,
                            const llv_zero_options& zero, int32_t recompute = 0,
                            bool prefetch = true, bool joined = false) {
  llv_trainer_options options;
  ok(llv_trainer_options_init(&options));
  options.recompute_layers = recompute;
  std::vector<llv_zero_step> steps = PlanMaker(model, zero.stage, prefetch).make();
  if (joined) {
    join(steps);
  }
  llv_trainer* trainer = nullptr;
  ok(llv_trainer_create_sharded(model.get(), &options, communicator.get(), &zero, steps.data(),
                                static_cast<int64_t>(steps.size()), &trainer));
  return Trainer(trainer);
}

// Every rank's bytes, in rank order.
template <typename T>
std::vector<T> gather(const Communicator& communicator, const std::vector<T>& mine) {
  llv_communicator_info info{};
  ok(llv_communicator_info_get(communicator.get(), &info));
  std::vector<T> all(mine.size() * static_cast<size_t>(info.world));
  ok(llv_communicator_gather(
      communicator.get(), "test", reinterpret_cast<const uint8_t*>(mine.data()),
      static_cast<int64_t>(mine.size() * sizeof(T)), reinterpret_cast<uint8_t*>(all.data()),
      static_cast<int64_t>(all.size() * sizeof(T))));
  return all;
}

}  // namespace llavasharp::test
