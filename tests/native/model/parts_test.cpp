// A batch run in parts gives the sums of the batch run at once, in less memory; parts end only
// where no image is cut.
#include <algorithm>

#include "core/memory.h"
#include "model/batch.h"
#include "support/tiny.h"

namespace llavasharp::test {
namespace {

using Values = std::vector<std::vector<float>>;

class Parts : public testing::Test {
 protected:
  struct Outcome {
    llv_loss loss;
    Values gradients;
    int64_t workspace;
  };
  // On an engine of its own, so that the workspace is this batch's.
  [[nodiscard]] Outcome run(const Batch& batch, int32_t units, int32_t tokens_at_once) const {
    const Engine engine = make_engine();
    const Model model = make_model(engine, config_);
    fill_lively(model);
    ok(llv_model_trainable_set(model.get(), units));
    llv_trainer_options options;
    ok(llv_trainer_options_init(&options));
    options.tokens_at_once = tokens_at_once;
    llv_trainer* handle = nullptr;
    ok(llv_trainer_create(model.get(), &options, &handle));
    const Trainer trainer(handle);
    Outcome outcome{.loss = accumulate(trainer, batch, 0.25), .gradients = {}, .workspace = 0};
    for (const llv_parameter& row : table_of(model)) {
      if (row.trainable != 0) {
        outcome.gradients.push_back(read_slot(trainer, LLV_SLOT_GRADIENT, row));
      }
    }
    llv_memory memory;
    ok(llv_engine_memory_get(engine.get(), 0, &memory));
    outcome.workspace = memory.workspace;
    return outcome;
  }
  static void expect_same(const Outcome& part, const Outcome& whole) {
    EXPECT_EQ(part.loss.tokens, whole.loss.tokens);
    EXPECT_NEAR(part.loss.sum, whole.loss.sum, 1e-5 * whole.loss.sum);
    ASSERT_EQ(part.gradients.size(), whole.gradients.size());
    for (size_t i = 0; i < whole.gradients.size(); ++i) {
      EXPECT_LE(relative_error(part.gradients[i], whole.gradients[i]), 1e-5) << i;
    }
  }
  // Token counts of the parts.
  [[nodiscard]] std::vector<int64_t> sizes(const Batch& batch, int64_t tokens) const {
    const model::Batch borrowed{.tokens = batch.tokens,
                                .labels = batch.labels,
                                .positions = batch.positions,
                                .cu_seqlens = batch.cu_seqlens,
                                .image_slots = batch.image_slots,
                                .pixels = batch.pixels};
    const model::Config config(config_);
    core::Arena arena(std::make_shared<core::MemoryLedger>());
    model::BatchParts parts(borrowed, config, tokens);
    std::vector<int64_t> counts;
    int64_t first = 0;
    size_t pixels = 0;
    while (!parts.done()) {
      EXPECT_EQ(parts.first_token(), first);
      const model::Batch part = parts.next(arena);
      model::check_batch(part, config);
      counts.push_back(part.count());
      first += part.count();
      pixels += part.pixels.size();
    }
    EXPECT_EQ(first, static_cast<int64_t>(batch.tokens.size()));
    EXPECT_EQ(pixels, batch.pixels.size());
    return counts;
  }
  // Samples of 2 + 9 + 7, 9, 1 and 9 + 3 tokens.
  llv_model_config config_ = tiny_config();
  Batch batch_ = mixed_batch(config_);
};

TEST_F(Parts, GiveTheSumsOfTheWholeInLessMemory) {
  for (const int32_t units : {int32_t{LLV_UNIT_PROJECTOR}, kAllButTower}) {
    const Outcome whole = run(batch_, units, 1000);
    for (const int32_t tokens : {1, 10, 27}) {
      const Outcome part = run(batch_, units, tokens);
      expect_same(part, whole);
      EXPECT_LT(part.workspace, whole.workspace) << tokens;
    }
  }
}

TEST_F(Parts, HoldWhatFitsOrOneSample) {
  EXPECT_EQ(sizes(batch_, 1), (std::vector<int64_t>{18, 9, 1, 12}));
  EXPECT_EQ(sizes(batch_, 26), (std::vector<int64_t>{18, 22}));
  EXPECT_EQ(sizes(batch_, 27), (std::vector<int64_t>{27, 13}));
  EXPECT_EQ(sizes(batch_, 28), (std::vector<int64_t>{28, 12}));
  EXPECT_EQ(sizes(batch_, 40), (std::vector<int64_t>{40}));
}

// Images in another order than their samples': the parts must not part them.
TEST_F(Parts, NeverCutAnImage) {
  Batch swapped = batch_;
  const auto half = [](auto& values) {
    std::rotate(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                values.end());
  };
  half(swapped.image_slots);
  half(swapped.pixels);
  EXPECT_EQ(sizes(swapped, 1), (std::vector<int64_t>{40}));
  expect_same(run(swapped, LLV_UNIT_PROJECTOR, 1), run(batch_, LLV_UNIT_PROJECTOR, 1000));
  // The first image's last row goes to the second sample: only the two together may run.
  Batch straddling = batch_;
  straddling.image_slots[8] = 20;
  EXPECT_EQ(sizes(straddling, 1), (std::vector<int64_t>{27, 1, 12}));
  expect_same(run(straddling, LLV_UNIT_PROJECTOR, 1), run(straddling, LLV_UNIT_PROJECTOR, 1000));
  // One that was cut off whole goes along.
  Batch cut = batch_;
  std::fill_n(cut.image_slots.begin(), 9, -1);
  EXPECT_EQ(sizes(cut, 1), (std::vector<int64_t>{18, 9, 1, 12}));
  expect_same(run(cut, LLV_UNIT_PROJECTOR, 1), run(cut, LLV_UNIT_PROJECTOR, 1000));
}

TEST_F(Parts, WithoutALabelAreLeftOut) {
  Batch unlabelled = batch_;
  std::fill_n(unlabelled.labels.begin(), 27, LLV_IGNORE_LABEL);
  expect_same(run(unlabelled, LLV_UNIT_PROJECTOR, 1), run(unlabelled, LLV_UNIT_PROJECTOR, 1000));
}

}  // namespace
}  // namespace llavasharp::test
