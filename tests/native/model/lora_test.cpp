// Adapters in the whole model: gradients, dropout's replay, merging, and what is refused.
#include <algorithm>
#include <array>

#include "support/slope.h"
#include "support/tiny.h"

namespace llavasharp::test {
namespace {

using Values = std::vector<std::vector<float>>;

const std::array<std::string, 7> kLinears{
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

class Lora : public testing::Test {
 protected:
  Lora() { fill_lively(model_); }

  static llv_lora options(int32_t rank, double dropout = 0) {
    llv_lora lora;
    ok(llv_lora_init(&lora));
    lora.rank = rank;
    lora.alpha = 6;
    lora.dropout = dropout;
    lora.seed = 3;
    return lora;
  }
  llv_status attach(const llv_lora& lora, const std::string& name) {
    return llv_model_lora_attach(model_.get(), &lora, name.c_str());
  }
  // All linears of all layers, ranks that differ; B is drawn too, or nothing would reach A.
  void attach_all(double dropout = 0) {
    for (int32_t layer = 0; layer < config_.layers; ++layer) {
      for (size_t i = 0; i < kLinears.size(); ++i) {
        llv_lora lora = options(2 + static_cast<int32_t>(i) % 3, dropout);
        lora.rank_stabilized = layer;
        ok(attach(lora, "layer." + std::to_string(layer) + "." + kLinears.at(i) + ".weight"));
      }
    }
    for (const llv_parameter& row : table_of(model_)) {
      if (std::string(row.name).ends_with("lora_B.weight")) {
        ok(llv_model_parameter_fill(model_.get(), row.name, LLV_FILL_NORMAL, 0, 0.05, 5));
      }
    }
  }
  Trainer train(int32_t units) {
    ok(llv_model_trainable_set(model_.get(), units));
    return make_trainer(model_);
  }
  [[nodiscard]] std::vector<float> logits() const {
    return logits_of(model_, batch_, {0, 3, 9, 15}, config_.vocabulary);
  }
  // Of every trainable parameter, against the loss that accumulate itself gives.
  void check_all(const Trainer& trainer, const std::function<double()>& loss) {
    accumulate(trainer, batch_, 1.0);
    Values gradients;
    const std::vector<llv_parameter> table = table_of(model_);
    for (const llv_parameter& row : table) {
      gradients.push_back(row.trainable != 0 ? read_slot(trainer, LLV_SLOT_GRADIENT, row)
                                             : std::vector<float>{});
    }
    int checked = 0;
    for (size_t i = 0; i < table.size(); ++i) {
      if (table[i].trainable != 0) {
        check_gradient(model_, table[i], gradients[i], loss);
        ++checked;
      }
    }
    EXPECT_GE(checked, 28);
  }
  void expect_failure(llv_status status, llv_status expected, const std::string& message) {
    EXPECT_EQ(status, expected);
    EXPECT_EQ(std::string(llv_error_message()), message);
  }

  llv_model_config config_ = tiny_config();
  Engine engine_ = make_engine();
  Model model_ = make_model(engine_, config_);
  Batch batch_ = mixed_batch(config_);
};

TEST_F(Lora, TableGainsNamedRowsOfItsOwnUnits) {
  const size_t before = table_of(model_).size();
  const std::string first = table_of(model_)[0].name;
  ok(attach(options(3), "layer.1.self_attn.k_proj.weight"));
  ok(attach(options(5), "layer.1.self_attn.q_proj.weight"));
  const std::vector<llv_parameter> table = table_of(model_);
  ASSERT_EQ(table.size(), before + 4);
  EXPECT_EQ(table[0].name, first);
  const llv_parameter& a = table[before];
  const llv_parameter& b = table[before + 1];
  EXPECT_STREQ(a.name, "layer.1.self_attn.k_proj.lora_A.weight");
  EXPECT_STREQ(b.name, "layer.1.self_attn.k_proj.lora_B.weight");
  EXPECT_EQ(a.unit_kind, LLV_UNIT_LORA);
  EXPECT_EQ(a.unit, 3 + config_.layers + 1);
  EXPECT_EQ(b.unit, a.unit);
  EXPECT_EQ(a.shape[0], 3);
  EXPECT_EQ(a.shape[1], config_.hidden);
  EXPECT_EQ(b.shape[0], config_.kv_heads * config_.head_dim);
  EXPECT_EQ(b.shape[1], 3);
  // PEFT's start: A uniform in ±1/√in, B zero; kept when the next adapter moves them.
  const double bound = 1 / std::sqrt(static_cast<double>(config_.hidden));
  const std::vector<float> values = read(model_, a);
  EXPECT_LE(*std::ranges::max_element(values), bound);
  EXPECT_GE(*std::ranges::min_element(values), -bound);
  EXPECT_NE(values, std::vector<float>(values.size(), values[0]));
  EXPECT_EQ(read(model_, b), std::vector<float>(static_cast<size_t>(b.count), 0.0F));
  write(model_, b, std::vector<float>(static_cast<size_t>(b.count), 2.0F));
  ok(attach(options(2), "layer.1.self_attn.v_proj.weight"));
  EXPECT_EQ(read(model_, a), values);
  EXPECT_EQ(read(model_, b), std::vector<float>(static_cast<size_t>(b.count), 2.0F));
}

TEST_F(Lora, FreshAdaptersChangeNothing) {
  const std::vector<float> before = logits();
  for (const std::string& linear : kLinears) {
    ok(attach(options(4), "layer.0." + linear + ".weight"));
  }
  EXPECT_EQ(logits(), before);
}

TEST_F(Lora, GradientsMatchCentralDifferences) {
  attach_all();
  const Trainer trainer = train(LLV_UNIT_LORA | LLV_UNIT_PROJECTOR);
  check_all(trainer, [&] { return total_loss(model_, batch_); });
}

TEST_F(Lora, GradientsUnderDropoutMatchCentralDifferences) {
  attach_all(0.3);
  const Trainer trainer = train(kAllButTower | LLV_UNIT_LORA);
  check_all(trainer, [&] {
    ok(llv_trainer_gradients_clear(trainer.get()));  // The same masks again.
    return accumulate(trainer, batch_, 1.0).sum;
  });
}

// Adapters that are frozen still pass gradients on.
TEST_F(Lora, FrozenAdaptersPassGradientsOn) {
  attach_all();
  const Trainer trainer = train(LLV_UNIT_PROJECTOR);
  accumulate(trainer, batch_, 1.0);
  for (const llv_parameter& row : table_of(model_)) {
    if (row.trainable != 0) {
      check_gradient(model_, row, read_slot(trainer, LLV_SLOT_GRADIENT, row),
                     [&] { return total_loss(model_, batch_); });
    }
  }
}

TEST_F(Lora, MasksAreReplayedAndDifferByStepAndMicroBatch) {
  attach_all(0.4);
  const Trainer trainer = train(LLV_UNIT_LORA);
  const double first = accumulate(trainer, batch_, 1.0).sum;
  const double second = accumulate(trainer, batch_, 1.0).sum;
  EXPECT_NE(first, second);
  ok(llv_trainer_gradients_clear(trainer.get()));
  EXPECT_EQ(accumulate(trainer, batch_, 1.0).sum, first);
  EXPECT_EQ(accumulate(trainer, batch_, 1.0).sum, second);
  ok(llv_trainer_gradients_clear(trainer.get()));
  ok(llv_trainer_step_count_set(trainer.get(), 1));
  EXPECT_NE(accumulate(trainer, batch_, 1.0).sum, first);
  // No dropout where nothing trains.
  EXPECT_NE(total_loss(model_, batch_), first);
  EXPECT_EQ(total_loss(model_, batch_), total_loss(model_, batch_));
}

TEST_F(Lora, OnlyAdaptersChangeWhenTheyAloneTrain) {
  attach_all(0.1);
  const Trainer trainer = train(LLV_UNIT_LORA);
  const std::vector<llv_parameter> table = table_of(model_);
  Values before;
  for (const llv_parameter& row : table) {
    before.push_back(read(model_, row));
  }
  accumulate(trainer, batch_, 1.0);
  const llv_group group{.learning_rate = 1e-2, .weight_decay = 0};
  double norm = 0;
  ok(llv_trainer_step(trainer.get(), &group, 1, 0, &norm));
  for (size_t i = 0; i < table.size(); ++i) {
    EXPECT_EQ(read(model_, table[i]) != before[i], table[i].unit_kind == LLV_UNIT_LORA)
        << table[i].name;
  }
}

TEST_F(Lora, MergedEqualsUnmerged) {
  attach_all();
  const std::vector<float> apart = logits();
  const llv_parameter base = table_of(model_)[0];
  const std::vector<float> tower = read(model_, base);
  Values before;
  for (const llv_parameter& row : table_of(model_)) {
    before.push_back(read(model_, row));
  }
  ok(llv_model_lora_merge(model_.get()));
  EXPECT_LE(relative_error(logits(), apart), 1e-5);
  size_t moved = 0;
  const std::vector<llv_parameter> table = table_of(model_);
  for (size_t i = 0; i < table.size(); ++i) {
    moved += read(model_, table[i]) != before[i] ? 1U : 0U;
  }
  EXPECT_EQ(moved, kLinears.size() * static_cast<size_t>(config_.layers));
  ok(llv_model_lora_unmerge(model_.get()));
  EXPECT_LE(relative_error(logits(), apart), 1e-5);
  for (size_t i = 0; i < table.size(); ++i) {
    EXPECT_LE(relative_error(read(model_, table[i]), before[i]), 1e-6) << table[i].name;
  }
}

TEST_F(Lora, WhatCannotBeIsRefused) {
  llv_lora lora = options(4, 0.25);
  expect_failure(attach(lora, "head.weight"), LLV_UNSUPPORTED,
                 "'head.weight' cannot carry an adapter: only the decoder layers' linears can");
  expect_failure(attach(lora, "layer.7.mlp.up_proj.weight"), LLV_INVALID,
                 "no parameter is named 'layer.7.mlp.up_proj.weight'");
  lora.rank = 0;
  expect_failure(attach(lora, "layer.0.mlp.up_proj.weight"), LLV_INVALID,
                 "rank is 0: must be 1 to 65536");
  lora.rank = 4;
  lora.dropout = 1;
  expect_failure(attach(lora, "layer.0.mlp.up_proj.weight"), LLV_INVALID,
                 "dropout is 1: must be 0 or more, and below 1 in float32");
  lora.dropout = 0.99999999;
  expect_failure(attach(lora, "layer.0.mlp.up_proj.weight"), LLV_INVALID,
                 "dropout is 0.99999999: must be 0 or more, and below 1 in float32");
  lora.dropout = 0.25;
  lora.alpha = INFINITY;
  expect_failure(attach(lora, "layer.0.mlp.up_proj.weight"), LLV_INVALID,
                 "alpha is inf: must be finite");
  lora.alpha = 1;
  lora.size = 8;
  expect_failure(attach(lora, "layer.0.mlp.up_proj.weight"), LLV_INVALID,
                 "options.size is 8, not 48: call its _init function first");
  lora.size = sizeof(lora);
  expect_failure(llv_model_lora_merge(model_.get()), LLV_STATE,
                 "the model has no adapter to merge");
  ok(attach(lora, "layer.0.mlp.up_proj.weight"));
  expect_failure(attach(lora, "layer.0.mlp.up_proj.weight"), LLV_STATE,
                 "'layer.0.mlp.up_proj.weight' has an adapter already");
  lora.dropout = 0.5;
  expect_failure(attach(lora, "layer.0.mlp.gate_proj.weight"), LLV_INVALID,
                 "the adapter of 'layer.0.mlp.gate_proj.weight' has dropout 0.5 and seed 3: one on "
                 "the same input has 0.25 and 3, and they share its mask");
  expect_failure(llv_model_lora_unmerge(model_.get()), LLV_STATE, "the adapters are not merged");
  expect_failure(llv_model_lora_attach(model_.get(), nullptr, "x"), LLV_INVALID, "options is null");
  expect_failure(llv_model_lora_attach(model_.get(), &lora, nullptr), LLV_INVALID,
                 "weight_name is null");
}

TEST_F(Lora, MergedAdaptersRest) {
  ok(attach(options(4), "layer.0.mlp.up_proj.weight"));
  ok(llv_model_lora_merge(model_.get()));
  expect_failure(llv_model_lora_merge(model_.get()), LLV_STATE, "the adapters are merged already");
  expect_failure(attach(options(4), "layer.0.mlp.gate_proj.weight"), LLV_STATE,
                 "the adapters are merged: unmerge them before attaching another");
  expect_failure(llv_model_parameter_fill(model_.get(), "layer.0.mlp.up_proj.lora_B.weight",
                                          LLV_FILL_CONSTANT, 1, 0, 0),
                 LLV_STATE,
                 "'layer.0.mlp.up_proj.lora_B.weight' is merged into its weight: unmerge before "
                 "changing it");
  expect_failure(llv_model_parameter_fill(model_.get(), "layer.0.mlp.up_proj.weight",
                                          LLV_FILL_CONSTANT, 1, 0, 0),
                 LLV_STATE,
                 "'layer.0.mlp.up_proj.weight' has an adapter merged into it: unmerge before "
                 "changing it");
  ok(llv_model_trainable_set(model_.get(), LLV_UNIT_LORA));
  llv_trainer_options defaults;
  ok(llv_trainer_options_init(&defaults));
  llv_trainer* none = nullptr;
  expect_failure(llv_trainer_create(model_.get(), &defaults, &none), LLV_STATE,
                 "the adapters are merged: unmerge them before training them");
}

TEST_F(Lora, ATrainerHoldsAdaptersStill) {
  ok(attach(options(4), "layer.0.mlp.up_proj.weight"));
  const Trainer trainer = train(LLV_UNIT_LORA);
  const std::string message = "a trainer exists: release it before changing adapters";
  expect_failure(attach(options(4), "layer.0.mlp.down_proj.weight"), LLV_STATE, message);
  expect_failure(llv_model_lora_merge(model_.get()), LLV_STATE, message);
  expect_failure(llv_model_lora_unmerge(model_.get()), LLV_STATE, message);
}

}  // namespace
}  // namespace llavasharp::test
