// A packed micro-batch is its samples, no more and no less; and a run repeats itself bit by bit.
#include <numeric>

#include "support/tiny.h"

namespace llavasharp::test {
namespace {

// Sample b of a batch whose images come in the order of its samples.
std::vector<Batch> split(const Batch& batch, const llv_model_config& config) {
  std::vector<Batch> samples;
  const auto image = size_t{3} * static_cast<size_t>(config.image_size * config.image_size);
  const auto rows = static_cast<size_t>(image_rows_of(config));
  for (size_t b = 0; b + 1 < batch.cu_seqlens.size(); ++b) {
    const int32_t begin = batch.cu_seqlens[b];
    const int32_t end = batch.cu_seqlens[b + 1];
    Batch one;
    one.add({batch.tokens.begin() + begin, batch.tokens.begin() + end},
            {batch.labels.begin() + begin, batch.labels.begin() + end});
    for (size_t n = 0; n * image < batch.pixels.size(); ++n) {
      const int32_t first = batch.image_slots[n * rows];
      if (first >= begin && first < end) {
        const auto at = batch.pixels.begin() + static_cast<std::ptrdiff_t>(n * image);
        one.add_image({at, at + static_cast<std::ptrdiff_t>(image)}, first - begin,
                      static_cast<int64_t>(rows));
      }
    }
    samples.push_back(one);
  }
  return samples;
}

class Packing : public testing::Test {
 protected:
  Packing() {
    fill_lively(model_);
    ok(llv_model_trainable_set(model_.get(), kAllButTower));
    trainer_ = make_trainer(model_);
  }
  std::vector<std::vector<float>> gradients() {
    std::vector<std::vector<float>> all;
    for (const llv_parameter& row : table_of(model_)) {
      if (row.trainable != 0) {
        all.push_back(read_slot(trainer_, LLV_SLOT_GRADIENT, row));
      }
    }
    ok(llv_trainer_gradients_clear(trainer_.get()));
    return all;
  }
  llv_model_config config_ = tiny_config();
  Engine engine_ = make_engine();
  Model model_ = make_model(engine_, config_);
  Trainer trainer_;
  Batch batch_ = mixed_batch(config_);
};

TEST_F(Packing, LossAndGradientsEqualThoseOneByOne) {
  const llv_loss packed = accumulate(trainer_, batch_, 0.25);
  const auto together = gradients();
  const std::vector<double> by_sample = losses_of(model_, batch_);
  double sum = 0;
  int64_t tokens = 0;
  size_t b = 0;
  for (const Batch& sample : split(batch_, config_)) {
    EXPECT_NEAR(losses_of(model_, sample)[0], by_sample[b], 1e-5 * (1 + by_sample[b])) << b;
    if (by_sample[b++] > 0) {
      const llv_loss loss = accumulate(trainer_, sample, 0.25);
      sum += loss.sum;
      tokens += loss.tokens;
    }
  }
  const auto apart = gradients();
  EXPECT_EQ(packed.tokens, tokens);
  EXPECT_NEAR(packed.sum, sum, 1e-5 * sum);
  for (size_t i = 0; i < together.size(); ++i) {
    EXPECT_LE(relative_error(together[i], apart[i]), 1e-5) << i;
  }
}

TEST_F(Packing, RepeatsBitByBit) {
  const llv_loss first = accumulate(trainer_, batch_, 1.0);
  const auto gradients_once = gradients();
  const std::vector<double> losses = losses_of(model_, batch_);
  for (int repeat = 0; repeat < 3; ++repeat) {
    EXPECT_EQ(accumulate(trainer_, batch_, 1.0).sum, first.sum);
    EXPECT_EQ(gradients(), gradients_once);
    EXPECT_EQ(losses_of(model_, batch_), losses);
  }
}

TEST_F(Packing, LogitsComeInTheOrderOfRows) {
  const std::vector<int32_t> rows{20, 3, 3, 0, 11};
  const std::vector<float> logits = logits_of(model_, batch_, rows, config_.vocabulary);
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::vector<float> one = logits_of(model_, batch_, {rows[i]}, config_.vocabulary);
    const auto at = logits.begin() + static_cast<std::ptrdiff_t>(i) * config_.vocabulary;
    EXPECT_LE(relative_error({at, at + config_.vocabulary}, one), 1e-6) << i;
  }
  EXPECT_TRUE(logits_of(model_, batch_, {}, config_.vocabulary).empty());
}

TEST_F(Packing, LossesAreLogSoftmaxOfLogits) {
  std::vector<int32_t> rows(batch_.tokens.size());
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<float> logits = logits_of(model_, batch_, rows, config_.vocabulary);
  const std::vector<double> losses = losses_of(model_, batch_);
  const auto vocabulary = static_cast<size_t>(config_.vocabulary);
  for (size_t b = 0; b < losses.size(); ++b) {
    double expected = 0;
    for (int32_t t = batch_.cu_seqlens[b] + 1; t < batch_.cu_seqlens[b + 1]; ++t) {
      const int32_t label = batch_.labels[static_cast<size_t>(t)];
      if (label == LLV_IGNORE_LABEL) {
        continue;
      }
      const size_t row = static_cast<size_t>(t - 1) * vocabulary;
      double sum = 0;
      for (size_t v = 0; v < vocabulary; ++v) {
        sum += std::exp(static_cast<double>(logits[row + v]));
      }
      expected += std::log(sum) - static_cast<double>(logits[row + static_cast<size_t>(label)]);
    }
    EXPECT_NEAR(losses[b], expected, 1e-5 * (1 + expected)) << b;
  }
}

TEST_F(Packing, FutureTokensAndOtherSamplesDoNotMatter) {
  const std::vector<float> before = logits_of(model_, batch_, {12}, config_.vocabulary);
  Batch changed = batch_;
  for (size_t t = 13; t < changed.tokens.size(); ++t) {
    changed.tokens[t] = (changed.tokens[t] + 1) % config_.vocabulary;
  }
  EXPECT_EQ(logits_of(model_, changed, {12}, config_.vocabulary), before);
}

TEST_F(Packing, IdsUnderImageRowsAreNotRead) {
  const std::vector<double> before = losses_of(model_, batch_);
  Batch changed = batch_;
  changed.tokens[static_cast<size_t>(changed.image_slots[1])] = -200;
  EXPECT_EQ(losses_of(model_, changed), before);
}

TEST_F(Packing, ManySupervisedRowsCrossChunks) {
  Batch big;
  Drawer draw(config_, 12);
  for (int sample = 0; sample < 5; ++sample) {
    draw.add_text(big, 140, 139);
  }
  const double packed = accumulate(trainer_, big, 1.0).sum;
  const auto together = gradients();
  double sum = 0;
  for (const Batch& sample : split(big, config_)) {
    sum += accumulate(trainer_, sample, 1.0).sum;
  }
  EXPECT_NEAR(packed, sum, 1e-5 * sum);
  const auto apart = gradients();
  for (size_t i = 0; i < together.size(); ++i) {
    EXPECT_LE(relative_error(together[i], apart[i]), 1e-5) << i;
  }
}

}  // namespace
}  // namespace llavasharp::test
