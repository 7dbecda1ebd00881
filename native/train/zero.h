// Follows a plan: has each unit's weights and gradients where a pass needs them, and exchanges them
// with the other ranks beside the compute. A single process is a world of one rank, where every
// unit is whole and nothing is exchanged.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/call.h"
#include "model/unit_order.h"
#include "train/communicator.h"
#include "train/exchange.h"
#include "train/shards.h"
#include "train/zero_plan.h"

namespace llavasharp::train {

class Zero final : public model::UnitOrder {
 public:
  // One process: no communicator, no plan.
  Zero(model::Llava& model, const Offload& offload);
  // Throws LLV_INVALID for a plan that does not hold.
  Zero(model::Llava& model, const Offload& offload, const ZeroOptions& options,
       std::shared_ptr<Communicator> communicator, std::span<const llv_zero_step> steps);
  ~Zero();
  Zero(const Zero&) = delete;
  Zero& operator=(const Zero&) = delete;
  Zero(Zero&&) = delete;
  Zero& operator=(Zero&&) = delete;

  [[nodiscard]] Shards& shards() { return shards_; }
  [[nodiscard]] const Shards& shards() const { return shards_; }
  [[nodiscard]] int32_t rank() const { return rank_; }
  [[nodiscard]] int32_t world() const { return world_; }
  [[nodiscard]] bool alone() const { return world_ == 1; }
  // Whether the passes come to each unit as a plan says: once a micro-batch.
  [[nodiscard]] bool planned() const { return planned_; }
  // Micro-batches an update; 0: as many as the host likes.
  [[nodiscard]] int32_t accumulation() const { return planned_ ? options_.accumulation : 0; }
  [[nodiscard]] Traffic traffic() { return exchange_ ? exchange_->traffic() : Traffic{}; }

  // A micro-batch, from `begin` to `finish`; in between its passes reach the units.
  void begin_micro(int64_t step, int64_t micro);
  void reach(model::Pass pass, int32_t unit) override;
  void finish_micro();
  // The loss was not finite: the update will not take place.
  void note_loss(double loss);

  // Runs the update: `take` gets the norm of all ranks' gradients and says whether and how, then
  // `update` is called for each unit. Throws LLV_NUMERIC, on all ranks, when something was not
  // finite.
  void update(core::Call<void(double)> take, core::Call<void(int32_t)> update);
  // Forgets what went wrong in an update's micro-batches.
  void clear();
  // This rank cannot go on: the others need not wait for it.
  void abandon(const std::string& reason) noexcept;

 private:
  void execute(const llv_zero_step& step);
  [[nodiscard]] Job gathering(int32_t unit);
  [[nodiscard]] Job reduction(int32_t unit);
  [[nodiscard]] Job publication(int32_t unit) const;
  void begin(const llv_zero_step& step, const Job& job);
  void open_gradients(int32_t unit);
  void settle(int32_t unit);
  void meet_fault(int32_t unit);
  [[nodiscard]] double norm();
  // Of this rank's piece of the gradients; the first unit where they are not finite, or -1.
  [[nodiscard]] double own_squares(int32_t& broken) const;
  [[nodiscard]] Label label(const char* op, int32_t unit) const;

  model::Llava& model_;
  ZeroOptions options_;
  bool planned_ = false;
  int32_t rank_ = 0;
  int32_t world_ = 1;
  ZeroSteps steps_;
  Shards shards_;
  std::shared_ptr<Communicator> communicator_;
  std::unique_ptr<Exchange> exchange_;  // None where alone.

  // What waits for a step that it is joined to.
  struct Joined {
    std::vector<Job> jobs;
    std::vector<int32_t> units;
  };
  std::array<Joined, LLV_ZERO_PUBLISH + 1> joined_;  // By llv_zero_op.

  std::vector<llv_zero_step>* phase_ = nullptr;
  size_t cursor_ = 0;
  int64_t step_ = 0;
  int64_t micro_ = 0;
  struct Verdict;
  int64_t bad_micro_ = -1;
  double bad_loss_ = 0;
  std::vector<std::byte> verdicts_;
  bool fault_met_ = false;
};

}  // namespace llavasharp::train
