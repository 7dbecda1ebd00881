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

void expect_same_as_alone(const ZeroRun& run, const std::function<Batch(int64_t)>& batch_of,
                          double tolerance = 1e-5) {
  std::vector<Outcome> outcomes(static_cast<size_t>(run.world));
  run_ranks(run.world, [&](const Communicator& communicator, int32_t rank) {
    outcomes[static_cast<size_t>(rank)] = train(run, communicator, rank, batch_of);
  });
  expect_equal(outcomes[0], train_alone(run, batch_of), tolerance);
}

// Which rank has pictures, and how many, is all chance: text alone, images alone, both.
TEST(ZeroBatches, OfAnyKindOnAnyRankTrainAsOneProcessDoes) {
  const ZeroRun run{.stage = 3, .world = 4, .steps = 1000, .learning_rate = 1e-6};
  const auto batch_of = [](int64_t index) {
    const auto key = static_cast<uint32_t>(index) * 2654435761U;
    return run_batch(static_cast<int64_t>(key >> 8U) % 1000, key);
  };
  expect_same_as_alone(run, batch_of);
}

// A frozen decoder takes a long batch in parts when it is alone; a plan counts on one pass.
TEST(ZeroBatches, ThatAreLongTrainAsOneProcessDoes) {
  const auto batch_of = [](int64_t index) {
    const llv_model_config config = tiny_config();
    Drawer draw(config, static_cast<uint32_t>(index));
    Batch batch;
    for (int i = 0; i < 3 + index % 2; ++i) {
      draw.add_image(batch, 2, 800, 300);
    }
    return batch;
  };
  for (const int32_t stage : {1, 3}) {
    expect_same_as_alone({.stage = stage, .world = 2, .units = LLV_UNIT_PROJECTOR, .steps = 2},
                         batch_of);
  }
}

// The tower's gradient is reduced on ranks without a picture, too. The biases of its keys have none
// but rounding, which AdamW makes as large as any other.
TEST(ZeroBatches, WithATowerThatTrainsTrainAsOneProcessDoes) {
  for (const int32_t stage : {0, 1, 2, 3}) {
    expect_same_as_alone(
        {.stage = stage, .world = 2, .accumulation = 2, .units = kAllButTower | LLV_UNIT_VISION},
        [](int64_t index) { return run_batch(index); }, 5e-5);
  }
}

TEST(ZeroBatches, WithNewlinesTrainAsOneProcessDoes) {
  const auto batch_of = [](int64_t index) {
    Batch batch = run_batch(index);
    if (index % 3 != 0) {  // A rank without one takes part all the same.
      batch.tokens[0] = LLV_IMAGE_NEWLINE;
      for (const int32_t slot : batch.image_slots) {
        batch.tokens[0] = slot == 0 ? 0 : batch.tokens[0];
      }
    }
    return batch;
  };
  for (const int32_t stage : {0, 1, 2, 3}) {
    expect_same_as_alone(
        {.stage = stage, .world = 2, .units = kAllButTower | LLV_UNIT_NEWLINE, .newline = true},
        batch_of);
  }
}

// Frozen weights in fewer bits are on every rank; bfloat16's masters are divided and published.
TEST(ZeroStorage, TrainsAsOneProcessDoes) {
  for (const int32_t stage : {0, 1, 2}) {
    expect_same_as_alone({.stage = stage,
                          .world = 2,
                          .accumulation = 2,
                          .units = LLV_UNIT_PROJECTOR | LLV_UNIT_LORA,
                          .lora = true,
                          .storage = LLV_STORE_BFLOAT16,
                          .linear_storage = LLV_STORE_NF4_DOUBLE},
                         [](int64_t index) { return run_batch(index); });
    // A gradient's last bit can move a master across the middle of two bfloat16.
    expect_same_as_alone(
        {.stage = stage, .world = 2, .storage = LLV_STORE_BFLOAT16},
        [](int64_t index) { return run_batch(index); }, 1e-4);
  }
}

TEST(ZeroStorage, IsNotDividedByStage3) {
  const ZeroRun run{
      .world = 2, .units = LLV_UNIT_LORA, .lora = true, .linear_storage = LLV_STORE_NF4};
  run_ranks(2, [&](const Communicator& communicator, int32_t) {
    const Engine engine = make_engine(1);
    const Model model = run_model(engine, run);
    llv_trainer_options options;
    ok(llv_trainer_options_init(&options));
    const llv_zero_options zero = zero_options(3, 1);
    const std::vector<llv_zero_step> steps = PlanMaker(model, 3).make();
    llv_trainer* trainer = nullptr;
    EXPECT_EQ(
        llv_trainer_create_sharded(model.get(), &options, communicator.get(), &zero, steps.data(),
                                   static_cast<int64_t>(steps.size()), &trainer),
        LLV_UNSUPPORTED);
    EXPECT_STREQ(llv_error_message(), "'layer.0' is stored as nf4: stage 3 needs float32");
    EXPECT_TRUE(std::isfinite(losses_of(model, run_batch(1))[0]));  // It is whole still.
  });
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
                        .lora = true,
                        .dora = accumulation == 3});
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
