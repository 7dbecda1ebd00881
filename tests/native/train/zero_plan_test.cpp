// A plan that would hang, train on stale weights or lose a gradient is refused, by its step.
#include <algorithm>

#include "support/sharded_run.h"

namespace llavasharp::test {
namespace {

class ZeroPlan : public testing::Test {
 protected:
  void make(int32_t stage, int32_t units = kAllButTower, bool lora = false) {
    run_ = {.stage = stage, .units = units, .lora = lora};
    model_ = run_model(engine_, run_);
    plan_ = PlanMaker(model_, stage).make();
  }
  // The status of making a trainer with the plan.
  llv_status status() {
    llv_trainer_options options;
    ok(llv_trainer_options_init(&options));
    llv_zero_options zero = zero_options(run_.stage, accumulation_);
    llv_trainer* trainer = nullptr;
    const llv_status made =
        llv_trainer_create_sharded(model_.get(), &options, alone_.get(), &zero, plan_.data(),
                                   static_cast<int64_t>(plan_.size()), &trainer);
    const std::string kept = llv_error_message();
    message_ = kept;
    llv_trainer_release(trainer);
    return made;
  }
  [[nodiscard]] std::ptrdiff_t find(int32_t phase, int32_t op, int32_t unit) const {
    const auto at = std::ranges::find_if(plan_, [&](const llv_zero_step& step) {
      return step.phase == phase && step.op == op && step.unit == unit;
    });
    EXPECT_NE(at, plan_.end());
    return at - plan_.begin();
  }
  void expect_refused(const std::string& message) {
    EXPECT_EQ(status(), LLV_INVALID);
    EXPECT_EQ(message_, message);
  }
  void expect_needed(int32_t phase, int32_t op, int32_t unit, const std::string& message) {
    plan_.erase(plan_.begin() + find(phase, op, unit));
    expect_refused(message);
  }

  ZeroRun run_;
  int32_t accumulation_ = 2;
  Engine engine_ = make_engine();
  Communicator alone_ = make_communicator(LLV_COMMUNICATOR_LOCAL, 0, 1, "plans", 1000);
  Model model_;
  std::vector<llv_zero_step> plan_;
  std::string message_;
};

TEST_F(ZeroPlan, IsTakenInEveryStage) {
  for (const int32_t stage : {0, 1, 2, 3}) {
    make(stage);
    EXPECT_EQ(status(), LLV_OK) << message_;
    make(stage, LLV_UNIT_PROJECTOR);
    EXPECT_EQ(status(), LLV_OK) << message_;
    make(stage, LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, true);
    EXPECT_EQ(status(), LLV_OK) << message_;
  }
}

// Units of the tiny model: 2 embed, 3 and 4 layers, 5 head, 6 and 7 adapters.
TEST_F(ZeroPlan, HasEachUnitWholeWhereItComputes) {
  make(3);
  const auto step = std::to_string(find(LLV_ZERO_LAST, LLV_ZERO_FORWARD, 4) - 1);
  expect_needed(
      LLV_ZERO_LAST, LLV_ZERO_WAIT, 4,
      "step " + step +
          " of the plan (LAST, FORWARD of layer.1): the weights of layer.1 are not whole");
  make(3);
  const std::ptrdiff_t gather = find(LLV_ZERO_MICRO, LLV_ZERO_GATHER, 4);
  const std::string wait = std::to_string(find(LLV_ZERO_MICRO, LLV_ZERO_WAIT, 4) - 1);
  plan_.erase(plan_.begin() + gather);
  expect_refused("step " + wait +
                 " of the plan (MICRO, WAIT of layer.1): there is no GATHER to wait for");
  make(3, LLV_UNIT_LORA, true);
  const std::string layer = std::to_string(find(LLV_ZERO_MICRO, LLV_ZERO_FORWARD, 3) - 1);
  expect_needed(
      LLV_ZERO_MICRO, LLV_ZERO_WAIT, 6,
      "step " + layer +
          " of the plan (MICRO, FORWARD of layer.0): the weights of layer.0.lora are not whole");
}

TEST_F(ZeroPlan, ReducesUpdatesAndPublishesEachUnitOnce) {
  make(2);
  expect_needed(LLV_ZERO_LAST, LLV_ZERO_SETTLE, 3,
                "phase LAST of the plan has no SETTLE of layer.0");
  make(2);
  plan_.erase(plan_.begin() + find(LLV_ZERO_MICRO, LLV_ZERO_SETTLE, 3));
  expect_needed(LLV_ZERO_MICRO, LLV_ZERO_REDUCE, 3,
                "phase MICRO of the plan has no REDUCE of layer.0");
  make(1);
  expect_needed(LLV_ZERO_UPDATE, LLV_ZERO_ADAMW, 1,
                "step " + std::to_string(find(LLV_ZERO_UPDATE, LLV_ZERO_PUBLISH, 1) - 1) +
                    " of the plan (UPDATE, PUBLISH of projector): its ADAMW comes first");
  make(1);
  expect_needed(LLV_ZERO_UPDATE, LLV_ZERO_PUBLISH, 5,
                "phase UPDATE of the plan has no PUBLISH of head");
  make(0);
  expect_needed(LLV_ZERO_UPDATE, LLV_ZERO_ADAMW, 4,
                "phase UPDATE of the plan has no ADAMW of layer.1");
  make(3);
  expect_needed(LLV_ZERO_UPDATE, LLV_ZERO_NORM, 0,
                "step " + std::to_string(find(LLV_ZERO_UPDATE, LLV_ZERO_ADAMW, 1) - 1) +
                    " of the plan (UPDATE, ADAMW of projector): NORM comes first");
}

TEST_F(ZeroPlan, WaitsForNoExchangeThatHasNotBegun) {
  const auto join_step = [&](int32_t phase, int32_t op, int32_t unit, int32_t value = 1) {
    const std::ptrdiff_t at = find(phase, op, unit);
    plan_[static_cast<size_t>(at)].joined = value;
    return std::to_string(at);
  };
  make(2);
  join(plan_);
  EXPECT_EQ(status(), LLV_OK) << message_;
  make(3);
  join(plan_);
  EXPECT_EQ(status(), LLV_OK) << message_;
  make(3);
  join_step(LLV_ZERO_LAST, LLV_ZERO_GATHER, 5);
  expect_refused("step " + std::to_string(find(LLV_ZERO_LAST, LLV_ZERO_WAIT, 5)) +
                 " of the plan (LAST, WAIT of head): its GATHER has not begun: it is joined to "
                 "a later one");
  make(2);
  join_step(LLV_ZERO_MICRO, LLV_ZERO_REDUCE, 1);
  expect_refused("step " + std::to_string(find(LLV_ZERO_MICRO, LLV_ZERO_SETTLE, 1)) +
                 " of the plan (MICRO, SETTLE of projector): its REDUCE has not begun: it is "
                 "joined to a later one");
  make(1);
  join_step(LLV_ZERO_UPDATE, LLV_ZERO_PUBLISH, 5);
  expect_refused("phase UPDATE of the plan has no PUBLISH that the one of head is joined to");
  make(1);
  expect_refused("step " + join_step(LLV_ZERO_LAST, LLV_ZERO_SETTLE, 5) +
                 " of the plan (LAST, SETTLE of head): joined is 0, or 1 of a GATHER, REDUCE or "
                 "PUBLISH");
  make(1);
  expect_refused("step " + join_step(LLV_ZERO_LAST, LLV_ZERO_REDUCE, 5, 2) +
                 " of the plan (LAST, REDUCE of head): joined is 0, or 1 of a GATHER, REDUCE or "
                 "PUBLISH");
}

TEST_F(ZeroPlan, KeepsTheOrderOfThePass) {
  make(0);
  std::swap(plan_[static_cast<size_t>(find(LLV_ZERO_LAST, LLV_ZERO_FORWARD, 3))].unit,
            plan_[static_cast<size_t>(find(LLV_ZERO_LAST, LLV_ZERO_FORWARD, 4))].unit);
  expect_refused("step " + std::to_string(find(LLV_ZERO_LAST, LLV_ZERO_FORWARD, 3)) +
                 " of the plan (LAST, FORWARD of layer.0): it is out of order");
  make(3);
  expect_needed(LLV_ZERO_LAST, LLV_ZERO_RELEASE, 5,
                "step " + std::to_string(find(LLV_ZERO_LAST, LLV_ZERO_RELEASE, 5)) +
                    " of the plan (LAST, GATHER of head): it is gathered already");
}

TEST_F(ZeroPlan, DoesNothingThatItsStageDoesNotNeed) {
  make(0);
  plan_[static_cast<size_t>(find(LLV_ZERO_LAST, LLV_ZERO_FORWARD, 2))].op = LLV_ZERO_GATHER;
  expect_refused("step " + std::to_string(find(LLV_ZERO_LAST, LLV_ZERO_GATHER, 2)) +
                 " of the plan (LAST, GATHER of embed): its weights are not sharded");
  make(1, LLV_UNIT_PROJECTOR);
  plan_[static_cast<size_t>(find(LLV_ZERO_LAST, LLV_ZERO_REDUCE, 1))].unit = 5;
  expect_refused("step " + std::to_string(find(LLV_ZERO_LAST, LLV_ZERO_REDUCE, 5)) +
                 " of the plan (LAST, REDUCE of head): it does not train");
  make(0);
  plan_.back().op = LLV_ZERO_PUBLISH;
  expect_refused("step " + std::to_string(plan_.size() - 1) +
                 " of the plan (UPDATE, PUBLISH of head): each rank has its weights, or its shard "
                 "of them, already");
}

TEST_F(ZeroPlan, IsWithinItsRanges) {
  make(0);
  plan_[1].op = 10;
  expect_refused("step 1 of the plan: op is 10, must be 0 to 9");
  plan_[1].op = -1;
  expect_refused("step 1 of the plan: op is -1, must be 0 to 9");
  plan_[1].op = 0;
  plan_[0].unit = 6;
  expect_refused("step 0 of the plan: unit is 6, must be 0 to 5");
  accumulation_ = 0;
  expect_refused("accumulation is 0: must be at least 1");
  accumulation_ = 1;
  run_.stage = 4;
  expect_refused("stage is 4: must be 0 to 3");
}

}  // namespace
}  // namespace llavasharp::test
