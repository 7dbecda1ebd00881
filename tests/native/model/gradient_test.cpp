// Every gradient of the whole model against central differences of its loss.
#include <functional>
#include <numeric>

#include "support/tiny.h"

namespace llavasharp::test {
namespace {

struct Variant {
  std::string name;
  std::function<void(llv_model_config&)> change;
  std::function<Batch(const llv_model_config&)> batch;
};

void PrintTo(const Variant& variant, std::ostream* out) {
  *out << variant.name;
}

Batch text_only(const llv_model_config& config) {
  Batch batch;
  Drawer draw(config, 5);
  draw.add_text(batch, 8, 4);
  draw.add_text(batch, 5, 5);
  return batch;
}

Batch one_supervised(const llv_model_config& config) {
  Batch batch;
  Drawer draw(config, 6);
  draw.add_image(batch, 1, 4, 0);
  draw.add_text(batch, 6, 1);
  return batch;
}

// The second image's sample ends inside the image; the first loses a row.
Batch cut_images(const llv_model_config& config) {
  Batch batch;
  Drawer draw(config, 8);
  draw.add_image(batch, 2, 5, 3);
  draw.add_text(batch, 7, 2);
  batch.image_slots[0] = -1;
  const int64_t rows = image_rows_of(config);
  const std::vector<float> image = draw.image();
  batch.pixels.insert(batch.pixels.end(), image.begin(), image.end());
  for (int64_t row = 0; row < rows; ++row) {
    batch.image_slots.push_back(row < 3 ? batch.cu_seqlens[1] + static_cast<int32_t>(row) : -1);
  }
  return batch;
}

const auto keep = [](llv_model_config&) {};
const auto mixed = [](const llv_model_config& config) { return mixed_batch(config); };

class WholeModelGradient : public testing::TestWithParam<Variant> {};

double total_loss(const Model& model, const Batch& batch) {
  const std::vector<double> losses = losses_of(model, batch);
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

// The loss's derivative along `direction` at the parameter's present values, by Richardson's
// extrapolation of central differences.
double slope(const Model& model, const Batch& batch, const llv_parameter& row,
             const std::vector<double>& direction) {
  const std::vector<float> kept = read(model, row);
  const auto central = [&](double h) {
    std::vector<float> moved = kept;
    const auto loss_at = [&](double step) {
      for (size_t i = 0; i < moved.size(); ++i) {
        moved[i] = static_cast<float>(kept[i] + step * direction[i]);
      }
      write(model, row, moved);
      return total_loss(model, batch);
    };
    return (loss_at(h) - loss_at(-h)) / (2 * h);
  };
  constexpr double kStep = 0.02;
  const double result = (4 * central(kStep) - central(2 * kStep)) / 3;
  write(model, row, kept);
  return result;
}

// Along the gradient plus a random direction, both of length 1: sees errors of any direction.
void check_gradient(const Model& model, const Batch& batch, const llv_parameter& row,
                    const std::vector<float>& gradient) {
  std::mt19937 random(11);
  std::normal_distribution<double> normal;
  std::vector<double> direction(gradient.size());
  double gradient_norm = 0;
  double random_norm = 0;
  for (size_t i = 0; i < gradient.size(); ++i) {
    direction[i] = normal(random);
    random_norm += direction[i] * direction[i];
    gradient_norm += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
  }
  gradient_norm = std::sqrt(gradient_norm);
  ASSERT_GT(gradient_norm, 1e-4) << row.name << " has no gradient";
  double expected = 0;
  for (size_t i = 0; i < gradient.size(); ++i) {
    direction[i] = direction[i] / std::sqrt(random_norm) + gradient[i] / gradient_norm;
    expected += direction[i] * gradient[i];
  }
  // Float32 losses of about 40 leave about 4e-6 / 0.02 of noise in a slope.
  EXPECT_NEAR(slope(model, batch, row, direction), expected, 2e-3 * gradient_norm + 1e-3)
      << row.name;
}

TEST_P(WholeModelGradient, MatchesCentralDifferences) {
  const Engine engine = make_engine();
  llv_model_config config = tiny_config();
  GetParam().change(config);
  const Model model = make_model(engine, config);
  fill_lively(model);
  const Batch batch = GetParam().batch(config);
  ok(llv_model_trainable_set(model.get(), kAllButTower));
  const Trainer trainer = make_trainer(model);
  accumulate(trainer, batch, 1.0);
  for (const llv_parameter& row : table_of(model)) {
    const bool no_image = batch.image_slots.empty() && row.unit_kind == LLV_UNIT_PROJECTOR;
    if (row.trainable == 0) {
      continue;
    }
    const std::vector<float> gradient = read_slot(trainer, LLV_SLOT_GRADIENT, row);
    if (no_image) {
      EXPECT_EQ(gradient, std::vector<float>(gradient.size(), 0.0F)) << row.name;
    } else {
      check_gradient(model, batch, row, gradient);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Variants, WholeModelGradient,
    testing::Values(
        Variant{"gqa_12", keep, mixed},
        Variant{"mha_20",
                [](llv_model_config& c) {
                  c.heads = c.kv_heads = 2;
                  c.head_dim = 20;
                },
                mixed},
        Variant{"mqa_40_one_layer",
                [](llv_model_config& c) {
                  c.heads = 3;
                  c.kv_heads = 1;
                  c.head_dim = 40;
                  c.layers = 1;
                },
                mixed},
        Variant{"three_layers_2", [](llv_model_config& c) { c.layers = 3, c.head_dim = 2; }, mixed},
        Variant{"identity_class_token",
                [](llv_model_config& c) {
                  c.projector = LLV_PROJECTOR_IDENTITY;
                  c.vision_keep_class_token = 1;
                },
                mixed},
        Variant{"linear_layer_0",
                [](llv_model_config& c) {
                  c.projector = LLV_PROJECTOR_LINEAR;
                  c.vision_feature_layer = 0;
                },
                mixed},
        Variant{"mlp1_last_layer",
                [](llv_model_config& c) {
                  c.projector_depth = 1;
                  c.vision_feature_layer = -1;
                },
                mixed},
        Variant{"mlp3_gelu_tower",
                [](llv_model_config& c) {
                  c.projector_depth = 3;
                  c.vision_activation = LLV_GELU;
                  c.vision_hidden = 20;
                },
                mixed},
        Variant{"text_only_batch", keep, text_only},
        Variant{"text_only_model", [](llv_model_config& c) { c.vision_hidden = 0; }, text_only},
        Variant{"one_supervised_token", keep,
                [](const llv_model_config& c) {
                  Batch batch = one_supervised(c);
                  batch.labels[batch.labels.size() / 2] = 1;  // In the image's sample.
                  return batch;
                }},
        Variant{"cut_images", keep, cut_images}),
    [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace llavasharp::test
