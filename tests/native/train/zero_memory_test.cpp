// What a rank holds, beside the formula of its stage; and what ranks do about numbers that are
// none.
#include <cmath>
#include <limits>

#include "support/sharded_run.h"

namespace llavasharp::test {
namespace {

constexpr int64_t kFloat = 4;

struct Sizes {
  std::vector<int64_t> units;  // Floats, alignment included.
  std::vector<bool> trains;
};

Sizes sizes_of(const Model& model, const Trainer& trainer) {
  Sizes sizes;
  for (const llv_parameter& row : table_of(model)) {
    const auto unit = static_cast<size_t>(row.unit);
    sizes.units.resize(std::max(sizes.units.size(), unit + 1));
    sizes.trains.resize(sizes.units.size());
    llv_shard shard{};
    ok(llv_trainer_shard_get(trainer.get(), LLV_SLOT_WEIGHT, row.unit, &shard));
    sizes.units[unit] = shard.whole;
    sizes.trains[unit] = row.trainable != 0;
  }
  return sizes;
}

int64_t piece(int64_t floats, int32_t rank, int32_t world) {
  const int64_t stride = (floats + 16L * world - 1) / (16L * world) * 16;
  return std::min((rank + 1) * stride, floats) - std::min(rank * stride, floats);
}

llv_memory memory_of(const Engine& engine) {
  llv_memory memory{};
  ok(llv_engine_memory_get(engine.get(), 0, &memory));
  return memory;
}

class Memory : public testing::TestWithParam<int32_t> {};

// What each stage divides by the ranks (Rajbhandari et al. 2020, figure 1): optimizer state from 1
// on, gradients from 2 on, weights in 3. Beside it, what is whole for a while: a gradient and the
// next one, a unit's weights and the next one's, and the pieces that a reduction receives.
TEST_P(Memory, IsWhatTheStageDivides) {
  constexpr int32_t kWorld = 4;
  const ZeroRun run{.stage = GetParam(), .world = kWorld};
  run_ranks(kWorld, [&](const Communicator& communicator, int32_t rank) {
    const Engine engine = make_engine(1);
    const Model model = run_model(engine, run);
    const int64_t whole_model = memory_of(engine).parameters;
    const Trainer trainer = make_sharded(model, communicator, zero_options(run.stage, 1));
    const Sizes sizes = sizes_of(model, trainer);
    int64_t parameters = 0;
    int64_t gradients = 0;
    int64_t optimizer = 0;
    int64_t largest = 0;
    for (size_t unit = 0; unit < sizes.units.size(); ++unit) {
      const int64_t whole = sizes.units[unit] * kFloat;
      const int64_t part = piece(sizes.units[unit], rank, kWorld) * kFloat;
      parameters += run.stage == 3 && unit >= 2 ? part : whole;
      if (sizes.trains[unit]) {
        gradients += run.stage >= 2 ? part : whole;
        optimizer += 2 * (run.stage >= 1 ? part : whole);
        largest = std::max(largest, whole);
      }
    }
    const int64_t received = (700 / kWorld / 16) * 16 * kWorld * kFloat;
    llv_memory memory = memory_of(engine);
    EXPECT_EQ(memory.parameters, parameters);
    EXPECT_EQ(memory.gradients, gradients);
    EXPECT_EQ(memory.optimizer, optimizer);
    EXPECT_EQ(memory.transient, received);
    double norm = 0;
    for (int step = 0; step < 3; ++step) {
      accumulate(trainer, run_batch(step * kWorld + rank), kScale);
      ok(llv_trainer_step(trainer.get(), &kGroup, 1, 1.0, &norm));
    }
    memory = memory_of(engine);
    EXPECT_EQ(memory.parameters, parameters);
    EXPECT_EQ(memory.gradients, gradients);
    EXPECT_EQ(memory.optimizer, optimizer);
    // The plan of these tests settles at the end of a pass: all gradients are whole until then.
    const int64_t weights = run.stage == 3 ? 3 * largest : 0;
    EXPECT_LE(memory.transient, received + weights + (run.stage >= 2 ? whole_model : 0));
    EXPECT_EQ(memory.transient == received, run.stage < 2);
  });
}

INSTANTIATE_TEST_SUITE_P(Stages, Memory, testing::Values(0, 1, 2, 3));

// One step in which rank 1 does something, on both ranks; what the step says.
std::vector<std::string> step_messages(
    int32_t stage, const std::function<void(const Model&, const Trainer&, int32_t)>& before,
    const std::function<void(const Model&, const Trainer&, int32_t)>& after =
        [](const Model&, const Trainer&, int32_t) {}) {
  const ZeroRun run{.stage = stage, .world = 2};
  std::vector<std::string> messages(2);
  run_ranks(2, [&](const Communicator& communicator, int32_t rank) {
    const Engine engine = make_engine(1);
    const Model model = run_model(engine, run);
    const Trainer trainer = make_sharded(model, communicator, zero_options(run.stage, 1));
    before(model, trainer, rank);
    accumulate(trainer, run_batch(rank + 1), kScale);  // Text; images and text.
    double norm = 0;
    if (llv_trainer_step(trainer.get(), &kGroup, 1, 1.0, &norm) != LLV_OK) {
      messages[static_cast<size_t>(rank)] = llv_error_message();
    }
    after(model, trainer, rank);
  });
  return messages;
}

TEST(ZeroNumbers, ThatAreNoneAreNamedOnEveryRankAndNothingChanges) {
  const auto spoil = [](const Model& model, const Trainer&, int32_t rank) {
    if (rank == 1) {  // The projector is every rank's own copy.
      for (const llv_parameter& row : table_of(model)) {
        if (std::string(row.name) == "projector.2.bias") {
          write(model, row,
                std::vector<float>(static_cast<size_t>(row.count),
                                   std::numeric_limits<float>::quiet_NaN()));
        }
      }
    }
  };
  for (const int32_t stage : {0, 1, 2, 3}) {
    const auto go_on = [](const Model&, const Trainer& trainer, int32_t rank) {
      int64_t steps = -1;
      ok(llv_trainer_step_count_get(trainer.get(), &steps));
      EXPECT_EQ(steps, 0);
      ok(llv_trainer_gradients_clear(trainer.get()));
      if (rank == 0) {
        return;
      }
      llv_shard shard{};
      ok(llv_trainer_shard_get(trainer.get(), LLV_SLOT_FIRST_MOMENT, 3, &shard));
      std::vector<float> moment(static_cast<size_t>(shard.count), 1.0F);
      ok(llv_trainer_shard_read(trainer.get(), LLV_SLOT_FIRST_MOMENT, 3, moment.data(),
                                shard.count));
      EXPECT_EQ(moment, std::vector<float>(moment.size(), 0.0F));
    };
    for (const std::string& message : step_messages(stage, spoil, go_on)) {
      EXPECT_EQ(message, "step 0: the loss of rank 1 in micro-batch 0 is nan: nothing was updated");
    }
  }
}

TEST(ZeroCalls, ThatDoNotFitAreRefused) {
  const ZeroRun run{.stage = 3, .world = 2, .accumulation = 2};
  run_ranks(2, [&](const Communicator& communicator, int32_t rank) {
    const Engine engine = make_engine(1);
    Model model = run_model(engine, run);
    const auto expect = [](llv_status status, llv_status expected, const std::string& message) {
      EXPECT_EQ(status, expected);
      EXPECT_EQ(std::string(llv_error_message()), message);
    };
    {
      const Trainer trainer = make_sharded(model, communicator, zero_options(3, 2));
      accumulate(trainer, run_batch(rank), kScale);
      double norm = 0;
      expect(llv_trainer_step(trainer.get(), &kGroup, 1, 0, &norm), LLV_STATE,
             "an update of this plan is 2 micro-batches: 1 were accumulated, accumulate the rest "
             "first");
      accumulate(trainer, run_batch(rank + 2), kScale);
      const Batch more = run_batch(1);
      const llv_batch view = more.view();
      llv_loss loss{};
      expect(llv_trainer_accumulate(trainer.get(), &view, 1, &loss), LLV_STATE,
             "an update of this plan is 2 micro-batches: 2 were accumulated, llv_trainer_step "
             "comes next");
      ok(llv_trainer_step(trainer.get(), &kGroup, 1, 0, &norm));
      float value = 0;
      expect(llv_model_parameter_read(model.get(), "head.norm.weight", &value, 1), LLV_SHAPE,
             "'head.norm.weight' has 24 elements, 1 were given");
      std::vector<float> row(24);
      expect(llv_model_parameter_read(model.get(), "head.norm.weight", row.data(), 24), LLV_STATE,
             "'head.norm.weight' lies in the ranks' shards: use llv_trainer_shard_read");
      expect(llv_trainer_slot_read(trainer.get(), LLV_SLOT_GRADIENT, "head.norm.weight", row.data(),
                                   24),
             LLV_STATE, "'head.norm.weight' is sharded: use llv_trainer_shard_read and _write");
      llv_shard shard{};
      ok(llv_trainer_shard_get(trainer.get(), LLV_SLOT_WEIGHT, 1, &shard));
      std::vector<float> part(static_cast<size_t>(shard.count));
      expect(llv_trainer_shard_write(trainer.get(), LLV_SLOT_WEIGHT, 1, part.data(), shard.count),
             LLV_STATE,
             "every rank holds all of 'projector': write it whole, with llv_model_parameter_write");
      expect(llv_trainer_shard_read(trainer.get(), LLV_SLOT_WEIGHT, 2, &value, 1), LLV_SHAPE,
             "this rank's part has 448 values, 1 were given");
      expect(llv_trainer_shard_get(trainer.get(), LLV_SLOT_WEIGHT, 6, &shard), LLV_INVALID,
             "unit is 6: must be 0 to 5");
      expect(llv_trainer_shard_get(trainer.get(), LLV_SLOT_GRADIENT, 0, &shard), LLV_STATE,
             "'vision' is frozen: it has no gradient and no optimizer state");
    }
    const Batch batch = run_batch(2);
    const llv_batch view = batch.view();
    std::vector<double> losses(static_cast<size_t>(batch.samples()));
    std::vector<int64_t> tokens(losses.size());
    expect(llv_model_loss_run(model.get(), &view, losses.data(), batch.samples(), tokens.data(),
                              batch.samples()),
           LLV_STATE,
           "the weights of 'embed' lie in the ranks' shards: make a model of their parts");
  });
}

// A gather that takes 20 ms is waited for in full where nothing computes meanwhile, and less where
// the unit before it does.
TEST(ZeroOverlap, HidesGathersBehindCompute) {
  llv_model_config config = tiny_text_config();
  config.hidden = 192;
  config.intermediate = 512;
  config.layers = 4;
  constexpr double kDelay = 20e-3;
  run_ranks(2, [&](const Communicator& communicator, int32_t rank) {
    const auto exposed = [&](bool prefetch) {
      const Engine engine = make_engine(1);
      const Model model = make_model(engine, config);
      fill_lively(model);
      ok(llv_model_trainable_set(model.get(), LLV_UNIT_EMBED));
      llv_zero_options zero = zero_options(3, 1);
      zero.reduce_bucket = 1 << 24;
      zero.delay_us = static_cast<int64_t>(kDelay * 1e6);
      const Trainer trainer = make_sharded(model, communicator, zero, 0, prefetch);
      Batch batch;
      Drawer(config, static_cast<uint32_t>(rank)).add_text(batch, 2200, 1800);
      accumulate(trainer, batch, kScale);
      llv_traffic traffic{};
      ok(llv_trainer_traffic_get(trainer.get(), &traffic));
      EXPECT_EQ(traffic.exchanges, 13);  // Six units gathered twice, one reduced.
      EXPECT_GT(traffic.bytes, 0);
      EXPECT_GE(traffic.busy_seconds, 0);
      return traffic.exposed_seconds;
    };
    const double without = exposed(false);
    EXPECT_GE(without, 13 * kDelay);
    // On a machine that is busy with other things a rank may be late; not each time.
    double with = exposed(true);
    const auto late = [&] {  // The same on all ranks.
      const std::vector<double> first = gather(communicator, std::vector{with, without});
      return first[0] >= first[1];
    };
    for (int again = 0; late() && again < 4; ++again) {
      with = exposed(true);
    }
    if (rank == 0) {
      EXPECT_LT(with, without);
    }
    RecordProperty("exposed_ms_without", std::to_string(1e3 * without));
    RecordProperty("exposed_ms_with", std::to_string(1e3 * with));
  });
}

// Weights that come after the trainer go to the ranks' shards: no rank ever holds the model.
TEST(ZeroShards, TakeTheirShareOfWhatIsLoaded) {
  const ZeroRun run{.stage = 3, .world = 3};
  run_ranks(3, [&](const Communicator& communicator, int32_t) {
    const Engine engine = make_engine(1);
    const Model before = run_model(engine, run);
    const Model after = make_model(engine, tiny_config());
    ok(llv_model_trainable_set(after.get(), run.units));
    const Trainer one = make_sharded(before, communicator, zero_options(3, 1));
    const Trainer two = make_sharded(after, communicator, zero_options(3, 1));
    const Model source = run_model(engine, run);
    for (const llv_parameter& row : table_of(source)) {
      write(after, row, read(source, row));
    }
    for (int32_t unit = 0; unit < 6; ++unit) {
      EXPECT_EQ(unit_weights(one, communicator, unit), unit_weights(two, communicator, unit));
    }
    fill_lively(after, 9);
    fill_lively(before, 9);
    const Model other = make_model(engine, tiny_config());
    fill_lively(other, 9);
    const std::vector<float> head = unit_weights(two, communicator, 5);
    const std::vector<float> norm = read(other, table_of(other)[table_of(other).size() - 2]);
    EXPECT_TRUE(std::equal(norm.begin(), norm.end(), head.begin()));
    for (int32_t unit = 0; unit < 6; ++unit) {
      EXPECT_EQ(unit_weights(one, communicator, unit), unit_weights(two, communicator, unit));
    }
  });
}

// A shard written back is the run continued; and another world's shards are the same floats.
TEST(ZeroShards, ContinueARunBitByBit) {
  const ZeroRun run{.stage = 3, .world = 2, .steps = 2};
  run_ranks(2, [&](const Communicator& communicator, int32_t rank) {
    const Engine engine = make_engine(1);
    const Model first = run_model(engine, run);
    const Trainer one = make_sharded(first, communicator, zero_options(3, 1));
    const auto step = [&](const Trainer& trainer, int64_t index) {
      accumulate(trainer, run_batch(2 * index + rank), kScale);
      double norm = 0;
      ok(llv_trainer_step(trainer.get(), &kGroup, 1, 1.0, &norm));
      return norm;
    };
    step(one, 0);
    const Model second = run_model(engine, run);
    for (const llv_parameter& row : table_of(second)) {
      if (row.unit < 2) {
        write(second, row, read(first, row));
      }
    }
    const Trainer two = make_sharded(second, communicator, zero_options(3, 1));
    ok(llv_trainer_step_count_set(two.get(), 1));
    for (int32_t unit = 1; unit < 6; ++unit) {
      for (const int32_t slot :
           {+LLV_SLOT_WEIGHT, +LLV_SLOT_FIRST_MOMENT, +LLV_SLOT_SECOND_MOMENT}) {
        if (unit == 1 && slot == LLV_SLOT_WEIGHT) {
          continue;
        }
        llv_shard shard{};
        ok(llv_trainer_shard_get(one.get(), slot, unit, &shard));
        std::vector<float> part(static_cast<size_t>(shard.count));
        ok(llv_trainer_shard_read(one.get(), slot, unit, part.data(), shard.count));
        ok(llv_trainer_shard_write(two.get(), slot, unit, part.data(), shard.count));
      }
    }
    EXPECT_EQ(step(one, 1), step(two, 1));
    for (int32_t unit = 0; unit < 6; ++unit) {
      EXPECT_EQ(unit_weights(one, communicator, unit), unit_weights(two, communicator, unit));
    }
  });
}

}  // namespace
}  // namespace llavasharp::test
