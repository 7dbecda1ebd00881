// Weight-decomposed adapters: gradients with the length held as a constant, lengths against those
// of W + s·B·A in double, merging, and what is refused.
#include <array>
#include <cmath>
#include <numeric>

#include "support/slope.h"
#include "support/tiny.h"

namespace llavasharp::test {
namespace {

const std::array<std::string, 7> kLinears{
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
constexpr double kAlpha = 6;
constexpr int32_t kTrained = LLV_UNIT_PROJECTOR | LLV_UNIT_EMBED | LLV_UNIT_HEAD | LLV_UNIT_LORA;

class Dora : public testing::Test {
 protected:
  Dora() { fill_lively(model_); }

  static llv_lora options(int32_t rank, double dropout = 0) {
    llv_lora lora;
    ok(llv_lora_init(&lora));
    lora.rank = rank;
    lora.alpha = kAlpha;
    lora.dropout = dropout;
    lora.seed = 3;
    lora.decomposed = 1;
    return lora;
  }
  void attach(const llv_lora& lora, const std::string& stem) {
    ok(llv_model_lora_attach(model_.get(), &lora, (stem + ".weight").c_str()));
    stems_.push_back({.name = stem, .scale = lora.alpha / lora.rank});
  }
  // All linears, ranks that differ, one of them plain and one without any; B and magnitudes far
  // from where they start.
  void attach_all(double dropout = 0) {
    for (int32_t layer = 0; layer < config_.layers; ++layer) {
      for (size_t i = 0; i < kLinears.size(); ++i) {
        if (layer == 0 && i == 1) {
          continue;
        }
        llv_lora lora = options(2 + static_cast<int32_t>(i) % 3, dropout);
        lora.decomposed = layer == 1 && i == 5 ? 0 : 1;
        attach(lora, "layer." + std::to_string(layer) + "." + kLinears.at(i));
      }
    }
    for (const llv_parameter& row : table_of(model_)) {
      const std::string name = row.name;
      if (name.ends_with("lora_B.weight")) {
        ok(llv_model_parameter_fill(model_.get(), row.name, LLV_FILL_NORMAL, 0, 0.05, 5));
      } else if (name.ends_with("lora_magnitude_vector")) {
        std::vector<float> values = read(model_, row);
        for (size_t j = 0; j < values.size(); ++j) {
          values[j] *= 0.8F + 0.1F * static_cast<float>(j % 5);
        }
        write(model_, row, values);
      }
    }
  }
  [[nodiscard]] llv_parameter row_of(const std::string& name) const {
    for (const llv_parameter& row : table_of(model_)) {
      if (name == row.name) {
        return row;
      }
    }
    ADD_FAILURE() << name;
    return {};
  }
  struct Stem {
    std::string name;
    double scale;
  };
  // ‖W + s·B·A‖ by row, in double.
  [[nodiscard]] std::vector<double> lengths(const Stem& stem) const {
    const llv_parameter weight = row_of(stem.name + ".weight");
    const llv_parameter down = row_of(stem.name + ".lora_A.weight");
    const std::vector<float> w = read(model_, weight);
    const std::vector<float> a = read(model_, down);
    const std::vector<float> b = read(model_, row_of(stem.name + ".lora_B.weight"));
    const auto out = static_cast<size_t>(weight.shape[0]);
    const auto in = static_cast<size_t>(weight.shape[1]);
    const auto rank = static_cast<size_t>(down.shape[0]);
    std::vector<double> result(out);
    for (size_t j = 0; j < out; ++j) {
      double squares = 0;
      for (size_t i = 0; i < in; ++i) {
        double value = w[j * in + i];
        for (size_t k = 0; k < rank; ++k) {
          value += stem.scale * double{b[j * rank + k]} * double{a[k * in + i]};
        }
        squares += value * value;
      }
      result[j] = std::sqrt(squares);
    }
    return result;
  }
  Trainer train(int32_t units) {
    ok(llv_model_trainable_set(model_.get(), units));
    return make_trainer(model_);
  }
  [[nodiscard]] std::vector<float> logits() const {
    return logits_of(model_, batch_, {0, 3, 9, 15}, config_.vocabulary);
  }
  // A loss along which an adapter's own lengths change nothing: its magnitudes go with them.
  [[nodiscard]] std::function<double()> at_fixed_gain(const std::string& name,
                                                      const std::function<double()>& loss) const {
    for (const Stem& stem : stems_) {
      if (name != stem.name + ".lora_A.weight" && name != stem.name + ".lora_B.weight") {
        continue;
      }
      const std::string magnitude = stem.name + ".lora_magnitude_vector";
      for (const llv_parameter& row : table_of(model_)) {
        if (magnitude == row.name) {
          const std::vector<float> kept = read(model_, row);
          const std::vector<double> before = lengths(stem);
          return [this, stem, row, kept, before, loss] {
            const std::vector<double> now = lengths(stem);
            std::vector<float> moved = kept;
            for (size_t j = 0; j < moved.size(); ++j) {
              moved[j] = static_cast<float>(double{kept[j]} * now[j] / before[j]);
            }
            write(model_, row, moved);
            const double result = loss();
            write(model_, row, kept);
            return result;
          };
        }
      }
    }
    return loss;
  }
  void check_all(const std::function<double(const Trainer&)>& loss) {
    const Trainer trainer = train(kTrained);
    accumulate(trainer, batch_, 1.0);
    const std::vector<llv_parameter> table = table_of(model_);
    std::vector<std::vector<float>> gradients;
    gradients.reserve(table.size());
    for (const llv_parameter& row : table) {
      gradients.push_back(row.trainable != 0 ? read_slot(trainer, LLV_SLOT_GRADIENT, row)
                                             : std::vector<float>{});
    }
    int checked = 0;
    for (size_t i = 0; i < table.size(); ++i) {
      if (table[i].trainable != 0) {
        check_gradient(model_, table[i], gradients[i],
                       at_fixed_gain(table[i].name, [&] { return loss(trainer); }));
        ++checked;
      }
    }
    EXPECT_GE(checked, 38);
  }

  llv_model_config config_ = tiny_config();
  Engine engine_ = make_engine();
  Model model_ = make_model(engine_, config_);
  Batch batch_ = mixed_batch(config_);
  std::vector<Stem> stems_;
};

TEST_F(Dora, MagnitudesBeginAsTheRowsLengthsAndFollowTheWeight) {
  const Stem stem{.name = "layer.1.self_attn.k_proj", .scale = kAlpha / 4};
  attach(options(4), stem.name);
  const llv_parameter row = row_of(stem.name + ".lora_magnitude_vector");
  EXPECT_EQ(row.rank, 1);
  EXPECT_EQ(row.shape[0], config_.kv_heads * config_.head_dim);
  EXPECT_EQ(row.unit_kind, LLV_UNIT_LORA);
  const auto expect_lengths = [&] {
    const std::vector<double> expected = lengths(stem);
    const std::vector<float> values = read(model_, row);
    for (size_t j = 0; j < expected.size(); ++j) {
      EXPECT_NEAR(values[j], expected[j], 1e-6 * expected[j]);
    }
  };
  expect_lengths();
  const llv_parameter weight = row_of(stem.name + ".weight");
  ok(llv_model_parameter_fill(model_.get(), weight.name, LLV_FILL_NORMAL, 0, 0.3, 9));
  expect_lengths();
  write(model_, weight, std::vector<float>(static_cast<size_t>(weight.count), 0.25F));
  expect_lengths();
}

TEST_F(Dora, MagnitudesAreOfWhatAStoredWeightComputesWith) {
  config_.linear_storage = LLV_STORE_NF4;
  model_ = make_model(engine_, config_);
  fill_lively(model_);
  const std::vector<float> before = logits();
  attach(options(4), "layer.0.mlp.down_proj");
  attach(options(4), "layer.1.self_attn.q_proj");
  EXPECT_LE(relative_error(logits(), before), 1e-6);
  ok(llv_model_parameter_fill(model_.get(), "layer.1.self_attn.q_proj.weight", LLV_FILL_NORMAL, 0,
                              0.3, 9));
  const std::vector<double> expected = lengths(stems_[1]);
  const std::vector<float> values =
      read(model_, row_of("layer.1.self_attn.q_proj.lora_magnitude_vector"));
  for (size_t j = 0; j < expected.size(); ++j) {
    EXPECT_NEAR(values[j], expected[j], 1e-6 * expected[j]);
  }
}

TEST_F(Dora, FreshAdaptersChangeNothing) {
  const std::vector<float> before = logits();
  for (const std::string& linear : kLinears) {
    attach(options(4), "layer.0." + linear);
  }
  EXPECT_LE(relative_error(logits(), before), 1e-6);
}

TEST_F(Dora, GradientsMatchCentralDifferencesAtFixedLengths) {
  attach_all();
  check_all([&](const Trainer&) { return total_loss(model_, batch_); });
}

TEST_F(Dora, GradientsUnderDropoutMatchCentralDifferencesAtFixedLengths) {
  attach_all(0.3);
  check_all([&](const Trainer& trainer) {
    ok(llv_trainer_gradients_clear(trainer.get()));  // The same masks again.
    return accumulate(trainer, batch_, 1.0).sum;
  });
}

TEST_F(Dora, MergedEqualsUnmerged) {
  attach_all();
  const std::vector<float> apart = logits();
  const std::vector<llv_parameter> table = table_of(model_);
  std::vector<std::vector<float>> before;
  before.reserve(table.size());
  for (const llv_parameter& row : table) {
    before.push_back(read(model_, row));
  }
  ok(llv_model_lora_merge(model_.get()));
  EXPECT_LE(relative_error(logits(), apart), 1e-5);
  // A merged row has its magnitude's length.
  const std::vector<float> merged = read(model_, row_of("layer.1.mlp.down_proj.weight"));
  const std::vector<float> magnitude =
      read(model_, row_of("layer.1.mlp.down_proj.lora_magnitude_vector"));
  const size_t width = merged.size() / magnitude.size();
  for (size_t j = 0; j < magnitude.size(); ++j) {
    const double squares =
        std::inner_product(merged.begin() + static_cast<int64_t>(j * width),
                           merged.begin() + static_cast<int64_t>((j + 1) * width),
                           merged.begin() + static_cast<int64_t>(j * width), 0.0);
    EXPECT_NEAR(std::sqrt(squares), magnitude[j], 1e-5 * double{magnitude[j]});
  }
  ok(llv_model_lora_unmerge(model_.get()));
  EXPECT_LE(relative_error(logits(), apart), 1e-5);
  for (size_t i = 0; i < table.size(); ++i) {
    EXPECT_LE(relative_error(read(model_, table[i]), before[i]), 1e-6) << table[i].name;
  }
}

TEST_F(Dora, AMagnitudeOfZeroMergesButHasNoWayBack) {
  attach(options(4), "layer.0.mlp.up_proj");
  const llv_parameter row = row_of("layer.0.mlp.up_proj.lora_magnitude_vector");
  std::vector<float> values = read(model_, row);
  values[1] = 0;
  write(model_, row, values);
  const std::vector<float> apart = logits();
  ok(llv_model_lora_merge(model_.get()));
  EXPECT_LE(relative_error(logits(), apart), 1e-5);
  EXPECT_EQ(llv_model_lora_unmerge(model_.get()), LLV_STATE);
  EXPECT_STREQ(
      llv_error_message(),
      "a row was merged with a magnitude of 0, which cannot be divided out: load the model "
      "again");
}

TEST_F(Dora, ARowOfZerosStaysOne) {
  const llv_parameter weight = row_of("layer.1.mlp.down_proj.weight");
  std::vector<float> values = read(model_, weight);
  std::fill_n(values.begin(), weight.shape[1], 0.0F);
  write(model_, weight, values);
  attach(options(4), "layer.1.mlp.down_proj");
  const Trainer trainer = train(LLV_UNIT_LORA);
  const double loss = accumulate(trainer, batch_, 1.0).sum;
  EXPECT_TRUE(std::isfinite(loss));
  const std::vector<float> gradient =
      read_slot(trainer, LLV_SLOT_GRADIENT, row_of("layer.1.mlp.down_proj.lora_magnitude_vector"));
  EXPECT_EQ(gradient[0], 0.0F);
  EXPECT_NE(gradient[1], 0.0F);
}

TEST_F(Dora, LayersDoNotTrainUnderIt) {
  attach(options(4), "layer.0.mlp.up_proj");
  ok(llv_model_trainable_set(model_.get(), LLV_UNIT_LORA | LLV_UNIT_LAYER));
  llv_trainer_options defaults;
  ok(llv_trainer_options_init(&defaults));
  llv_trainer* none = nullptr;
  EXPECT_EQ(llv_trainer_create(model_.get(), &defaults, &none), LLV_UNSUPPORTED);
  EXPECT_STREQ(llv_error_message(),
               "the layers cannot train under DoRA adapters, which take their weights' lengths as "
               "fixed: train the adapters alone");
}

}  // namespace
}  // namespace llavasharp::test
