// Every gradient of the whole model against central differences of its loss.
#include <functional>

#include "support/slope.h"
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

// Two tiles as one picture: rows in another order, one cut off, newlines among them.
Batch tiles(const llv_model_config& config) {
  Batch batch;
  Drawer draw(config, 9);
  const int64_t rows = image_rows_of(config);
  draw.add_text(batch, 6 + static_cast<size_t>(2 * rows), 4);
  batch.tokens[1] = batch.tokens[4] = batch.tokens[11] = LLV_IMAGE_NEWLINE;
  for (int32_t tile = 0; tile < 2; ++tile) {
    const std::vector<float> image = draw.image();
    batch.pixels.insert(batch.pixels.end(), image.begin(), image.end());
  }
  std::vector<int32_t> places;
  for (int32_t t = 2; t < static_cast<int32_t>(2 + 2 * rows); ++t) {
    if (t != 4 && t != 11) {
      places.push_back(t);
    }
  }
  for (size_t i = 0; i < static_cast<size_t>(2 * rows); ++i) {
    batch.image_slots.push_back(i < places.size() ? places[(i * 5 + 1) % places.size()] : -1);
  }
  return batch;
}

const auto keep = [](llv_model_config&) {};
const auto mixed = [](const llv_model_config& config) { return mixed_batch(config); };

// A trained tower: the layers past the selected hidden state, and the last norm, have no gradient.
bool is_run(const llv_model_config& config, const std::string& name) {
  const int32_t run = config.vision_feature_layer < 0
                          ? config.vision_layers + 1 + config.vision_feature_layer
                          : config.vision_feature_layer;
  const std::string prefix = "vision.encoder.layers.";
  if (run == 0 && config.vision_keep_class_token == 0 &&
      name == "vision.embeddings.class_embedding") {
    return false;
  }
  return !name.starts_with("vision.post") &&
         !(name.starts_with(prefix) && std::stoi(name.substr(prefix.size())) >= run);
}

class WholeModelGradient : public testing::TestWithParam<Variant> {};

TEST_P(WholeModelGradient, MatchesCentralDifferences) {
  const Engine engine = make_engine();
  llv_model_config config = tiny_config();
  GetParam().change(config);
  const Model model = make_model(engine, config);
  fill_lively(model);
  const Batch batch = GetParam().batch(config);
  ok(llv_model_trainable_set(model.get(), kAllButTower | LLV_UNIT_VISION));
  const Trainer trainer = make_trainer(model);
  accumulate(trainer, batch, 1.0);
  for (const llv_parameter& row : table_of(model)) {
    const bool no_image = (batch.image_slots.empty() &&
                           (row.unit_kind & (LLV_UNIT_PROJECTOR | LLV_UNIT_VISION)) != 0) ||
                          !is_run(config, row.name);
    if (row.trainable == 0) {
      continue;
    }
    const std::vector<float> gradient = read_slot(trainer, LLV_SLOT_GRADIENT, row);
    if (row.unit_kind == LLV_UNIT_VISION && std::string(row.name).ends_with("k_proj.bias")) {
      // The same to all keys of a query: softmax does not see it.
      for (const float value : gradient) {
        EXPECT_NEAR(value, 0, 1e-6) << row.name;
      }
    } else if (no_image) {
      EXPECT_EQ(gradient, std::vector<float>(gradient.size(), 0.0F)) << row.name;
    } else {
      check_gradient(model, row, gradient, [&] { return total_loss(model, batch); });
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
        Variant{"cut_images", keep, cut_images},
        Variant{"tiles_and_newlines", [](llv_model_config& c) { c.image_newline = 1; }, tiles}),
    [](const auto& parameter) { return parameter.param.name; });

// Ids under image rows are not read, image_newline's among them.
TEST(Newline, UnderAnImageRowIsNotRead) {
  const Engine engine = make_engine();
  llv_model_config config = tiny_config();
  config.image_newline = 1;
  const Model model = make_model(engine, config);
  fill_lively(model);
  ok(llv_model_trainable_set(model.get(), kAllButTower | LLV_UNIT_VISION));
  const Trainer trainer = make_trainer(model);
  const auto gradients_of = [&](const Batch& batch) {
    std::vector<float> all;
    ok(llv_trainer_gradients_clear(trainer.get()));
    accumulate(trainer, batch, 1.0);
    for (const llv_parameter& row : table_of(model)) {
      const auto gradient = read_slot(trainer, LLV_SLOT_GRADIENT, row);
      all.insert(all.end(), gradient.begin(), gradient.end());
    }
    return all;
  };
  Batch batch = mixed_batch(config);
  const std::vector<float> plain = gradients_of(batch);
  batch.tokens[static_cast<size_t>(batch.image_slots[1])] = LLV_IMAGE_NEWLINE;
  EXPECT_EQ(gradients_of(batch), plain);
}

}  // namespace
}  // namespace llavasharp::test
