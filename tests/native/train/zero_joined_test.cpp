// Units that share an exchange: the same bytes as each by itself, in fewer exchanges.
#include "support/sharded_run.h"

namespace llavasharp::test {
namespace {

constexpr int32_t kLora = LLV_UNIT_PROJECTOR | LLV_UNIT_LORA;

struct Counted {
  Outcome outcome;
  int64_t exchanges = 0;
};

Counted train_counted(const ZeroRun& run) {
  Counted counted;
  run_ranks(run.world, [&](const Communicator& communicator, int32_t rank) {
    const Outcome outcome = train(run, communicator, rank);
    const Engine engine = make_engine(1);
    const Model model = run_model(engine, run);
    const Trainer trainer =
        make_sharded(model, communicator, zero_options(run.stage, 1), 0, true, run.joined);
    accumulate(trainer, run_batch(rank), kScale);
    double norm = 0;
    ok(llv_trainer_step(trainer.get(), &kGroup, 1, 1.0, &norm));
    llv_traffic traffic{};
    ok(llv_trainer_traffic_get(trainer.get(), &traffic));
    if (rank == 0) {
      counted = {.outcome = outcome, .exchanges = traffic.exchanges};
    }
  });
  return counted;
}

class Joined : public testing::TestWithParam<ZeroRun> {};

TEST_P(Joined, ExchangesGiveTheSameBytes) {
  ZeroRun run = GetParam();
  const Counted apart = train_counted(run);
  run.joined = true;
  const Counted together = train_counted(run);
  EXPECT_TRUE(together.outcome == apart.outcome);
  EXPECT_LT(together.exchanges, apart.exchanges);
}

INSTANTIATE_TEST_SUITE_P(
    Stages, Joined,
    testing::Values(ZeroRun{.stage = 0, .world = 3, .accumulation = 2},
                    ZeroRun{.stage = 1, .world = 2},
                    ZeroRun{.stage = 2, .world = 3, .accumulation = 2, .newline = true},
                    ZeroRun{.stage = 3, .world = 2}, ZeroRun{.stage = 3, .world = 5},
                    ZeroRun{.stage = 0, .world = 2, .units = kLora, .lora = true},
                    ZeroRun{.stage = 1, .world = 4, .units = kLora, .lora = true},
                    ZeroRun{.stage = 3, .world = 3, .units = kLora, .lora = true}));

// What is not finite is still named by its own unit and rank.
TEST(JoinedNumbers, ThatAreNoneAreNamed) {
  for (const int32_t stage : {1, 2}) {
    const ZeroRun run{.stage = stage, .world = 2};
    run_ranks(2, [&](const Communicator& communicator, int32_t rank) {
      const Engine engine = make_engine(1);
      const Model model = run_model(engine, run);
      llv_zero_options zero = zero_options(stage, 1);
      zero.fault = LLV_FAULT_NAN;
      zero.fault_rank = 1;
      const Trainer trainer = make_sharded(model, communicator, zero, 0, true, true);
      accumulate(trainer, run_batch(rank + 1), kScale);
      double norm = 0;
      EXPECT_EQ(llv_trainer_step(trainer.get(), &kGroup, 1, 1.0, &norm), LLV_NUMERIC);
      EXPECT_STREQ(llv_error_message(),
                   "step 0: the gradient of head from rank 1 is not finite: nothing was updated");
    });
  }
}

}  // namespace
}  // namespace llavasharp::test
