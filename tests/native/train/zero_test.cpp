// Sharded training by threads: the same numbers as one process, in every stage.
#include <mutex>

#include "support/sharded_run.h"

namespace llavasharp::test {
namespace {

std::vector<Outcome> train_ranks(const ZeroRun& run) {
  std::vector<Outcome> outcomes(static_cast<size_t>(run.world));
  run_ranks(run.world, [&](const Communicator& communicator, int32_t rank) {
    outcomes[static_cast<size_t>(rank)] = train(run, communicator, rank);
  });
  return outcomes;
}

class Zero : public testing::TestWithParam<ZeroRun> {};

TEST_P(Zero, TrainsAsOneProcessDoes) {
  const ZeroRun& run = GetParam();
  const std::vector<Outcome> ranks = train_ranks(run);
  expect_equal(ranks[0], train_alone(run), 1e-5);
  for (const Outcome& other : ranks) {
    EXPECT_TRUE(other == ranks[0]);
  }
  EXPECT_TRUE(train_ranks(run)[0] == ranks[0]);  // To the byte.
}

// Which rank has pictures, and how many, is all chance: text alone, images alone, both.
TEST(ZeroBatches, OfAnyKindOnAnyRankTrainAsOneProcessDoes) {
  const ZeroRun run{.stage = 3, .world = 4, .steps = 1000, .learning_rate = 1e-6};
  std::vector<Outcome> outcomes(4);
  const auto batch_of = [](int64_t index) {
    const auto key = static_cast<uint32_t>(index) * 2654435761U;
    return run_batch(static_cast<int64_t>(key >> 8U) % 1000, key);
  };
  run_ranks(4, [&](const Communicator& communicator, int32_t rank) {
    outcomes[static_cast<size_t>(rank)] = train(run, communicator, rank, batch_of);
  });
  expect_equal(outcomes[0], train_alone(run, batch_of), 1e-5);
}

std::vector<ZeroRun> all_runs() {
  std::vector<ZeroRun> runs;
  for (int32_t stage = 0; stage < 4; ++stage) {
    for (const int32_t world : {1, 2, 3, 4}) {
      for (const int32_t accumulation : {1, 3}) {
        runs.push_back({.stage = stage,
                        .world = world,
                        .accumulation = accumulation,
                        .units = LLV_UNIT_PROJECTOR});
        runs.push_back({.stage = stage,
                        .world = world,
                        .accumulation = accumulation,
                        .units = LLV_UNIT_PROJECTOR | LLV_UNIT_LORA,
                        .lora = true});
        runs.push_back({.stage = stage,
                        .world = world,
                        .accumulation = accumulation,
                        .units = kAllButTower,
                        .recompute = accumulation == 3 ? 1 : 0});
      }
    }
  }
  return runs;
}

INSTANTIATE_TEST_SUITE_P(Stages, Zero, testing::ValuesIn(all_runs()), [](const auto& parameter) {
  const ZeroRun& run = parameter.param;
  return "zero" + std::to_string(run.stage) + "_world" + std::to_string(run.world) + "_every" +
         std::to_string(run.accumulation) +
         (run.lora                    ? "_lora"
          : run.units == kAllButTower ? "_full"
                                      : "_projector");
});

}  // namespace
}  // namespace llavasharp::test
