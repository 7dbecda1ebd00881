// Accumulation, clipping, AdamW, groups, frozen sets, what a trainer refuses.
#include <limits>

#include "support/tiny.h"

namespace llavasharp::test {
namespace {

using Values = std::vector<std::vector<float>>;

class Training : public testing::Test {
 protected:
  Training() { fill_lively(model_); }

  void train(int32_t units) {
    ok(llv_model_trainable_set(model_.get(), units));
    trainer_ = make_trainer(model_);
    table_ = table_of(model_);
  }
  [[nodiscard]] Values gradients() const {
    Values all;
    for (const llv_parameter& row : table_) {
      all.push_back(row.trainable != 0 ? read_slot(trainer_, LLV_SLOT_GRADIENT, row)
                                       : std::vector<float>{});
    }
    return all;
  }
  [[nodiscard]] Values parameters() const {
    Values all;
    for (const llv_parameter& row : table_of(model_)) {
      all.push_back(read(model_, row));
    }
    return all;
  }
  double step(double learning_rate, double decay = 0, double clip = 0) {
    const llv_group group{.learning_rate = learning_rate, .weight_decay = decay};
    double norm = -1;
    ok(llv_trainer_step(trainer_.get(), &group, 1, clip, &norm));
    return norm;
  }
  void expect_failure(llv_status status, llv_status expected, const std::string& message) {
    EXPECT_EQ(status, expected);
    EXPECT_EQ(std::string(llv_error_message()), message);
  }

  llv_model_config config_ = tiny_config();
  Engine engine_ = make_engine();
  Model model_ = make_model(engine_, config_);
  Trainer trainer_;
  std::vector<llv_parameter> table_;
  Batch batch_ = mixed_batch(config_);
};

double norm_of(const Values& gradients) {
  double sum = 0;
  for (const auto& tensor : gradients) {
    for (const float x : tensor) {
      sum += static_cast<double>(x) * static_cast<double>(x);
    }
  }
  return std::sqrt(sum);
}

TEST_F(Training, AccumulatingTwiceIsTheSum) {
  train(kAllButTower);
  const Batch other = mixed_batch(config_, 17);
  accumulate(trainer_, batch_, 0.5);
  const Values first = gradients();
  ok(llv_trainer_gradients_clear(trainer_.get()));
  accumulate(trainer_, other, 0.25);
  const Values second = gradients();
  accumulate(trainer_, batch_, 0.5);
  const Values both = gradients();
  for (size_t i = 0; i < both.size(); ++i) {
    std::vector<float> sum = first[i];
    for (size_t k = 0; k < sum.size(); ++k) {
      sum[k] += second[i][k];
    }
    EXPECT_LE(relative_error(both[i], sum), 1e-6) << table_[i].name;
  }
}

TEST_F(Training, ScaleMultipliesGradients) {
  train(kAllButTower);
  accumulate(trainer_, batch_, 1.0);
  Values whole = gradients();
  ok(llv_trainer_gradients_clear(trainer_.get()));
  accumulate(trainer_, batch_, 0.125);
  const Values part = gradients();
  for (size_t i = 0; i < whole.size(); ++i) {
    for (float& x : whole[i]) {
      x *= 0.125F;
    }
    EXPECT_LE(relative_error(part[i], whole[i]), 1e-6) << table_[i].name;
  }
}

TEST_F(Training, OnlyWhatIsTrainableChanges) {
  for (const int32_t units : {+LLV_UNIT_PROJECTOR, +LLV_UNIT_EMBED, +LLV_UNIT_LAYER, +LLV_UNIT_HEAD,
                              LLV_UNIT_PROJECTOR | LLV_UNIT_HEAD, kAllButTower}) {
    train(units);
    const Values before = parameters();
    accumulate(trainer_, batch_, 1.0);
    EXPECT_GT(step(1e-3), 0);
    const Values after = parameters();
    for (size_t i = 0; i < table_.size(); ++i) {
      const bool trains = (table_[i].unit_kind & units) != 0;
      EXPECT_EQ(table_[i].trainable, trains ? 1 : 0) << table_[i].name;
      EXPECT_EQ(after[i] != before[i], trains) << units << " " << table_[i].name;
    }
    trainer_.reset();
  }
}

// The same gradients, whatever else trains.
TEST_F(Training, FrozenNeighboursDoNotChangeGradients) {
  train(kAllButTower);
  accumulate(trainer_, batch_, 1.0);
  const Values all = gradients();
  trainer_.reset();
  for (const int32_t units :
       {+LLV_UNIT_PROJECTOR, +LLV_UNIT_EMBED, +LLV_UNIT_LAYER, +LLV_UNIT_HEAD}) {
    train(units);
    accumulate(trainer_, batch_, 1.0);
    const Values some = gradients();
    for (size_t i = 0; i < some.size(); ++i) {
      if (table_[i].trainable != 0) {
        EXPECT_LE(relative_error(some[i], all[i]), 1e-6) << table_[i].name;
      }
    }
    trainer_.reset();
  }
}

TEST_F(Training, TextOnlyBatchesGiveTheProjectorNoGradient) {
  train(LLV_UNIT_PROJECTOR);
  Batch text;
  Drawer(config_, 4).add_text(text, 6, 3);
  EXPECT_GT(accumulate(trainer_, text, 1.0).sum, 0);
  EXPECT_EQ(norm_of(gradients()), 0);
  EXPECT_EQ(step(1e-3), 0);  // A step of nothing is no error.
}

TEST_F(Training, ClipsByTheGlobalNorm) {
  train(kAllButTower);
  const Values before = parameters();
  accumulate(trainer_, batch_, 1.0);
  const double norm = norm_of(gradients());
  EXPECT_NEAR(step(1e-3, 0, norm / 4), norm, 1e-6 * norm);
  std::vector<float> clipped;
  for (const llv_parameter& row : table_) {
    if (row.trainable != 0) {
      const auto m = read_slot(trainer_, LLV_SLOT_FIRST_MOMENT, row);
      clipped.insert(clipped.end(), m.begin(), m.end());
    }
  }
  EXPECT_NEAR(norm_of({clipped}), 0.1 * norm / 4, 1e-5 * norm);  // m = (1 - beta1) · gradient.
}

TEST_F(Training, AdamWFollowsItsFormula) {
  train(kAllButTower);
  constexpr double kRate = 3e-3;
  constexpr double kDecay = 0.1;
  std::vector<std::vector<double>> m(table_.size());
  std::vector<std::vector<double>> v(table_.size());
  for (int t = 1; t <= 3; ++t) {
    accumulate(trainer_, batch_, 0.1);
    const Values g = gradients();
    const Values before = parameters();
    step(kRate, kDecay);
    const Values after = parameters();
    for (size_t i = 0; i < table_.size(); ++i) {
      m[i].resize(g[i].size());
      v[i].resize(g[i].size());
      std::vector<float> expected = before[i];
      for (size_t k = 0; k < g[i].size(); ++k) {
        const double x = g[i][k];
        m[i][k] = 0.9 * m[i][k] + 0.1 * x;
        v[i][k] = 0.999 * v[i][k] + 0.001 * x * x;
        const double mean = m[i][k] / (1 - std::pow(0.9, t));
        const double root = std::sqrt(v[i][k] / (1 - std::pow(0.999, t)));
        const double decayed = before[i][k] * (1 - kRate * kDecay);
        expected[k] = static_cast<float>(decayed - kRate * mean / (root + 1e-8));
      }
      EXPECT_LE(relative_error(after[i], expected), 3e-7) << table_[i].name << " step " << t;
    }
  }
  int64_t steps = 0;
  ok(llv_trainer_step_count_get(trainer_.get(), &steps));
  EXPECT_EQ(steps, 3);
}

// The moments' factors are 1 - beta in double: in float32, 1 - 0.999 would be 1.3e-5 off, and a
// beta next to 1 would be 1.
TEST_F(Training, MomentsAreAsExactAsFloat32) {
  for (const double beta2 : {0.999, 1 - 1e-9}) {
    llv_trainer_options options;
    ok(llv_trainer_options_init(&options));
    options.beta2 = beta2;
    trainer_.reset();
    ok(llv_model_trainable_set(model_.get(), kAllButTower));
    llv_trainer* created = nullptr;
    ok(llv_trainer_create(model_.get(), &options, &created));
    trainer_.reset(created);
    table_ = table_of(model_);
    accumulate(trainer_, batch_, 0.1);
    const Values g = gradients();
    step(1e-3);
    for (size_t i = 0; i < table_.size(); ++i) {
      if (g[i].empty()) {
        continue;
      }
      std::vector<float> m(g[i].size());
      std::vector<float> v(g[i].size());
      for (size_t k = 0; k < g[i].size(); ++k) {
        const double x = g[i][k];
        m[k] = static_cast<float>(0.1 * x);
        v[k] = static_cast<float>((1 - beta2) * x * x);
      }
      // Three roundings of 2^-24 each, and the reference's own.
      EXPECT_LE(relative_error(read_slot(trainer_, LLV_SLOT_FIRST_MOMENT, table_[i]), m), 2.5e-7);
      EXPECT_LE(relative_error(read_slot(trainer_, LLV_SLOT_SECOND_MOMENT, table_[i]), v), 2.5e-7)
          << table_[i].name << " beta2 " << beta2;
    }
  }
}

TEST_F(Training, GroupsHaveTheirOwnRates) {
  train(kAllButTower);
  std::vector<int32_t> groups;
  groups.reserve(table_.size());
  for (const llv_parameter& row : table_) {
    groups.push_back(row.unit_kind == LLV_UNIT_PROJECTOR ? 1 : row.decay != 0 ? 0 : 2);
  }
  ok(llv_trainer_groups_set(trainer_.get(), groups.data(), static_cast<int64_t>(groups.size())));
  const Values before = parameters();
  accumulate(trainer_, batch_, 1.0);
  const llv_group rates[] = {{0.0, 0.0}, {1e-3, 0.0}, {0.0, 0.5}};
  double norm = 0;
  ok(llv_trainer_step(trainer_.get(), rates, 3, 0, &norm));
  const Values after = parameters();
  for (size_t i = 0; i < table_.size(); ++i) {
    EXPECT_EQ(after[i] != before[i], table_[i].unit_kind == LLV_UNIT_PROJECTOR) << table_[i].name;
  }
  accumulate(trainer_, batch_, 1.0);
  expect_failure(llv_trainer_step(trainer_.get(), rates, 2, 0, &norm), LLV_INVALID,
                 "'layer.0.input_layernorm.weight' is in group 2, and 2 groups were given");
}

TEST_F(Training, SlotsContinueARunBitByBit) {
  train(kAllButTower);
  accumulate(trainer_, batch_, 1.0);
  step(1e-3, 0.1, 1.0);
  accumulate(trainer_, batch_, 0.5);  // A half-done accumulation.
  const Model copy = make_model(engine_, config_);
  for (const llv_parameter& row : table_) {
    write(copy, row, read(model_, row));
  }
  ok(llv_model_trainable_set(copy.get(), kAllButTower));
  const Trainer resumed = make_trainer(copy);
  for (const llv_parameter& row : table_) {
    for (int32_t slot = 0; row.trainable != 0 && slot < 3; ++slot) {
      const std::vector<float> values = read_slot(trainer_, slot, row);
      ok(llv_trainer_slot_write(resumed.get(), slot, row.name, values.data(), row.count));
    }
  }
  ok(llv_trainer_step_count_set(resumed.get(), 1));
  const llv_group group{.learning_rate = 1e-3, .weight_decay = 0.1};
  for (const Trainer* trainer : {&std::as_const(trainer_), &resumed}) {
    accumulate(*trainer, batch_, 0.5);
    double norm = 0;
    ok(llv_trainer_step(trainer->get(), &group, 1, 1.0, &norm));
  }
  for (const llv_parameter& row : table_) {
    EXPECT_EQ(read(copy, row), read(model_, row)) << row.name;
  }
}

TEST_F(Training, LossFallsWhenTrained) {
  train(kAllButTower);
  const double before = accumulate(trainer_, batch_, 0.1).sum;
  step(1e-2, 0, 1.0);
  for (int i = 0; i < 30; ++i) {
    accumulate(trainer_, batch_, 0.1);
    step(1e-2, 0, 1.0);
  }
  EXPECT_LT(accumulate(trainer_, batch_, 0.1).sum, 0.05 * before);
}

TEST_F(Training, NumbersThatAreNoneStopBeforeAnUpdate) {
  train(kAllButTower);
  const llv_group group{.learning_rate = 1e-3, .weight_decay = 0};
  const llv_batch view = batch_.view();
  llv_loss loss{.sum = -1, .tokens = -1};
  double norm = -1;
  const llv_parameter head = table_.back();
  std::vector<float> values = read(model_, head);
  const std::vector<float> kept = values;
  values[3] = std::numeric_limits<float>::quiet_NaN();
  write(model_, head, values);
  expect_failure(llv_trainer_accumulate(trainer_.get(), &view, 1.0, &loss), LLV_NUMERIC,
                 "the loss of 10 supervised tokens is nan");
  EXPECT_EQ(loss.tokens, -1);
  expect_failure(llv_trainer_step(trainer_.get(), &group, 1, 0, &norm), LLV_STATE,
                 "the last micro-batch failed half-way: clear the gradients first");
  expect_failure(llv_trainer_accumulate(trainer_.get(), &view, 1.0, &loss), LLV_STATE,
                 "an earlier micro-batch failed half-way: clear the gradients first");
  write(model_, head, kept);
  ok(llv_trainer_gradients_clear(trainer_.get()));
  accumulate(trainer_, batch_, 1.0);
  values = read_slot(trainer_, LLV_SLOT_GRADIENT, head);
  values[0] = std::numeric_limits<float>::infinity();
  ok(llv_trainer_slot_write(trainer_.get(), LLV_SLOT_GRADIENT, head.name, values.data(),
                            head.count));
  const Values before = parameters();
  expect_failure(llv_trainer_step(trainer_.get(), &group, 1, 1.0, &norm), LLV_NUMERIC,
                 "the gradient of head is not finite: nothing was updated");
  EXPECT_EQ(norm, -1);
  EXPECT_EQ(parameters(), before);
  int64_t steps = -1;
  ok(llv_trainer_step_count_get(trainer_.get(), &steps));
  EXPECT_EQ(steps, 0);
}

TEST_F(Training, RefusesWhatDoesNotFit) {
  llv_trainer_options options;
  ok(llv_trainer_options_init(&options));
  llv_trainer* other = nullptr;
  expect_failure(llv_trainer_create(model_.get(), &options, &other), LLV_STATE,
                 "nothing is trainable: choose units with llv_model_trainable_set first");
  train(LLV_UNIT_PROJECTOR);
  expect_failure(llv_trainer_create(model_.get(), &options, &other), LLV_STATE,
                 "the model has a trainer already: release it first");
  expect_failure(llv_model_trainable_set(model_.get(), LLV_UNIT_HEAD), LLV_STATE,
                 "a trainer exists: release it before choosing what trains");
  double norm = 0;
  llv_group group{.learning_rate = 1e-3, .weight_decay = 0};
  expect_failure(llv_trainer_step(trainer_.get(), &group, 1, 0, &norm), LLV_STATE,
                 "there are no gradients: accumulate a micro-batch first");
  expect_failure(llv_trainer_step(trainer_.get(), &group, 1, -1, &norm), LLV_INVALID,
                 "max_gradient_norm is -1: must be 0 (no clipping) or more, and finite");
  group.learning_rate = -2;
  expect_failure(llv_trainer_step(trainer_.get(), &group, 1, 0, &norm), LLV_INVALID,
                 "learning_rate of group 0 is -2: must be 0 or more, and finite");
  Batch unlabelled;
  unlabelled.add({1, 2, 3}, {5, -100, -100});  // A first token is never predicted.
  const llv_batch view = unlabelled.view();
  llv_loss loss{};
  expect_failure(llv_trainer_accumulate(trainer_.get(), &view, 1.0, &loss), LLV_INVALID,
                 "no token of the batch's 3 is supervised");
  float value = 0;
  expect_failure(llv_trainer_slot_read(trainer_.get(), 0, "head.weight", &value, 1), LLV_STATE,
                 "'head.weight' is frozen: it has no gradient and no optimizer state");
  expect_failure(llv_trainer_slot_read(trainer_.get(), 3, "projector.0.bias", &value, 1),
                 LLV_INVALID, "slot is 3: must be 0 to 2");
  expect_failure(llv_trainer_slot_read(trainer_.get(), 0, "projector.0.bias", &value, 1), LLV_SHAPE,
                 "'projector.0.bias' has 24 elements, 1 were given");
  expect_failure(llv_trainer_step_count_set(trainer_.get(), -1), LLV_INVALID,
                 "steps is -1: must not be negative");
  expect_failure(llv_trainer_groups_set(trainer_.get(), nullptr, 0), LLV_SHAPE,
                 "0 groups were given for 64 parameters");
  options.beta1 = 1;
  trainer_.reset();
  expect_failure(llv_trainer_create(model_.get(), &options, &other), LLV_INVALID,
                 "beta1 is 1: must be 0 or more and below 1");
}

}  // namespace
}  // namespace llavasharp::test
