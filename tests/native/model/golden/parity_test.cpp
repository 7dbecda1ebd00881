// The engine against Hugging Face's implementation, on the stored cases: features, logits, loss,
// every gradient of both stages, three AdamW steps, the greedy answer.
#include <algorithm>
#include <string>

#include "model/golden/json.h"
#include "model/golden/safetensors.h"
#include "support/api.h"

namespace llavasharp::test {
namespace {

constexpr double kForwardBound = 1e-5;
constexpr double kGradientBound = 2e-5;
constexpr double kLaterNormBound = 2e-4;
constexpr double kChangeBound = 5e-3;

bool replace(std::string& text, const std::string& from, const std::string& to) {
  if (!text.starts_with(from)) {
    return false;
  }
  text = to + text.substr(from.size());
  return true;
}

// Hugging Face's names (`model` is "language_model.model." in files, "model.language_model." in
// memory) as the engine's.
std::string canonical(std::string name) {
  replace(name, "model.language_model.", "language_model.model.");
  replace(name, "model.multi_modal_projector.", "multi_modal_projector.");
  replace(name, "language_model.lm_head.", "lm_head.");
  if (replace(name, "multi_modal_projector.linear_1.", "projector.0.") ||
      replace(name, "multi_modal_projector.linear_2.", "projector.2.") ||
      replace(name, "vision_tower.", "vision.") || replace(name, "lm_head.", "head.") ||
      replace(name, "language_model.model.embed_tokens.", "embed.") ||
      replace(name, "language_model.model.layers.", "layer.") ||
      replace(name, "language_model.model.norm.", "head.norm.")) {
    return name;
  }
  return name;
}

class GoldenParity : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string folder = std::string(LLAVASHARP_GOLDEN_FOLDER) + "/parity/" + GetParam();
    case_ = parse_json(read_text(folder + "/case.json"));
    read_safetensors(folder + "/expected.safetensors", expected_);
    engine_ = make_engine(0);
    load(folder + "/model/");
    make_batch();
  }

  void load(const std::string& folder) {
    config_of(parse_json(read_text(folder + "config.json")));
    model_ = make_model(engine_, config_);
    Tensors tensors;
    if (std::string(GetParam()).find("sharded") == std::string::npos) {
      read_safetensors(folder + "model.safetensors", tensors);
    } else {
      for (int shard = 1; shard <= 4; ++shard) {
        read_safetensors(folder + "model-0000" + std::to_string(shard) + "-of-00004.safetensors",
                         tensors);
      }
    }
    ASSERT_EQ(tensors.size(), table_of(model_).size());
    for (const auto& [name, tensor] : tensors) {
      ok(llv_model_parameter_write(model_.get(), canonical(name).c_str(), tensor.dtype,
                                   tensor.shape.data(), static_cast<int64_t>(tensor.shape.size()),
                                   tensor.bytes.data(), static_cast<int64_t>(tensor.bytes.size())));
    }
  }

  void config_of(const Json& json) {
    const Json& text = json["text_config"];
    const Json& vision = json["vision_config"];
    ok(llv_model_config_init(&config_));
    config_.vision_hidden = vision["hidden_size"].integer();
    config_.vision_layers = vision["num_hidden_layers"].integer();
    config_.vision_heads = vision["num_attention_heads"].integer();
    config_.vision_intermediate = vision["intermediate_size"].integer();
    config_.image_size = vision["image_size"].integer();
    config_.patch_size = vision["patch_size"].integer();
    config_.vision_feature_layer = json["vision_feature_layer"].integer();
    config_.hidden = text["hidden_size"].integer();
    config_.layers = text["num_hidden_layers"].integer();
    config_.heads = text["num_attention_heads"].integer();
    config_.kv_heads = text["num_key_value_heads"].integer();
    config_.head_dim = text["head_dim"].integer();
    config_.intermediate = text["intermediate_size"].integer();
    config_.vocabulary = text["vocab_size"].integer();
    config_.norm_eps = text["rms_norm_eps"].number;
    config_.rope_theta = text["rope_parameters"]["rope_theta"].number;
    // The reference model was cast as a whole, its rotary frequencies with it.
    config_.rope_dtype = json["dtype"].text == "bfloat16" ? LLV_BFLOAT16 : LLV_FLOAT32;
  }

  void make_batch() {
    const auto integers = [](const Json& list) {
      std::vector<int32_t> values;
      values.reserve(list.list.size());
      for (const Json& value : list.list) {
        values.push_back(value.integer());
      }
      return values;
    };
    const int image_token = case_["image_token"].integer();
    for (size_t s = 0; s < case_["token_ids"].list.size(); ++s) {
      const std::vector<int32_t> tokens = integers(case_["token_ids"].list[s]);
      const auto begin = static_cast<int32_t>(batch_.tokens.size());
      batch_.add(tokens, integers(case_["labels"].list[s]));
      if (case_["images"].list[s].kind == Json::Kind::kText) {
        const std::string name = "pixel_values/" + case_["images"].list[s].text + "/pad";
        const auto first = std::ranges::find(tokens, image_token) - tokens.begin();
        batch_.add_image(expected_.at(name).floats(), begin + static_cast<int32_t>(first),
                         case_["patches"].integer());
      }
    }
  }

  void expect_close(const char* what, const std::vector<float>& ours, const std::string& name,
                    double bound) {
    EXPECT_LE(relative_error(ours, expected_.at(name).floats()), bound) << what << " " << name;
  }

  void train(const std::string& stage, int32_t units);

  Json case_;
  Tensors expected_;
  llv_model_config config_{};
  Engine engine_;
  Model model_;
  Batch batch_;
};

TEST_P(GoldenParity, FeaturesOfImages) {
  const auto count = static_cast<int64_t>(batch_.pixels.size());
  std::vector<float> features(expected_.at("image_features").floats().size());
  ok(llv_model_vision_run(model_.get(), batch_.pixels.data(), count, features.data(),
                          static_cast<int64_t>(features.size())));
  expect_close("vision", features, "image_features", kForwardBound);
  features.resize(expected_.at("projected").floats().size());
  ok(llv_model_project_run(model_.get(), batch_.pixels.data(), count, features.data(),
                           static_cast<int64_t>(features.size())));
  expect_close("project", features, "projected", kForwardBound);
}

TEST_P(GoldenParity, LogitsAndLoss) {
  std::vector<int32_t> rows(batch_.tokens.size());
  for (size_t t = 0; t < rows.size(); ++t) {
    rows[t] = static_cast<int32_t>(t);
  }
  const std::vector<float> ours = logits_of(model_, batch_, rows, config_.vocabulary);
  const StoredTensor& stored = expected_.at("logits");  // [B, longest, V], padded on the right.
  const std::vector<float> all = stored.floats();
  const auto vocabulary = static_cast<size_t>(config_.vocabulary);
  std::vector<float> reference;
  for (size_t b = 0; b + 1 < batch_.cu_seqlens.size(); ++b) {
    const auto length = static_cast<size_t>(batch_.cu_seqlens[b + 1] - batch_.cu_seqlens[b]);
    const size_t begin = b * static_cast<size_t>(stored.shape[1]) * vocabulary;
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(begin);
    reference.insert(reference.end(), first,
                     first + static_cast<std::ptrdiff_t>(length * vocabulary));
  }
  EXPECT_LE(relative_error(ours, reference), kForwardBound);

  double sum = 0;
  for (const double loss : losses_of(model_, batch_)) {
    sum += loss;
  }
  const auto supervised = static_cast<double>(
      batch_.labels.size() - static_cast<size_t>(std::ranges::count(batch_.labels, -100)));
  const double reference_loss = case_["loss"].number;
  EXPECT_NEAR(sum / supervised, reference_loss, kForwardBound * reference_loss);
}

void GoldenParity::train(const std::string& stage, int32_t units) {
  ok(llv_model_trainable_set(model_.get(), units));
  const Trainer trainer = make_trainer(model_);
  const std::vector<llv_parameter> table = table_of(model_);
  std::vector<std::vector<float>> before;
  before.reserve(table.size());
  for (const llv_parameter& row : table) {
    before.push_back(read(model_, row));
  }
  std::map<std::string, std::string> stored;  // Canonical name → the case's.
  for (const auto& [name, tensor] : expected_) {
    const std::string prefix = "after/" + stage + "/";
    if (name.starts_with(prefix)) {
      stored[canonical(name.substr(prefix.size()))] = name.substr(prefix.size());
    }
  }
  const Json& optimizer = case_["optimizer"];
  const double supervised = static_cast<double>(accumulate(trainer, batch_, 1.0).tokens);
  ok(llv_trainer_gradients_clear(trainer.get()));
  const llv_group group{.learning_rate = optimizer["lr"].number,
                        .weight_decay = optimizer["weight_decay"].number};
  for (size_t step = 0; step < case_["losses"][stage].list.size(); ++step) {
    const llv_loss loss = accumulate(trainer, batch_, 1.0 / supervised);
    const double reference = case_["losses"][stage].list[step].number;
    EXPECT_NEAR(loss.sum / supervised, reference, kForwardBound * reference) << stage << step;
    for (size_t i = 0; step == 0 && i < table.size(); ++i) {
      if (table[i].trainable != 0) {
        expect_close("gradient", read_slot(trainer, LLV_SLOT_GRADIENT, table[i]),
                     "grad/" + stage + "/" + stored.at(table[i].name), kGradientBound);
      }
    }
    double norm = 0;
    ok(llv_trainer_step(trainer.get(), &group, 1, optimizer["clip_grad_norm"].number, &norm));
    const double reference_norm = case_["grad_norm"][stage].list[step].number;
    const double bound = step == 0 ? kForwardBound : kLaterNormBound;
    EXPECT_NEAR(norm, reference_norm, bound * reference_norm) << stage << step;
  }
  for (size_t i = 0; i < table.size(); ++i) {
    std::vector<float> change = read(model_, table[i]);
    std::vector<float> reference = before[i];
    if (table[i].trainable != 0) {
      reference = expected_.at("after/" + stage + "/" + stored.at(table[i].name)).floats();
    }
    for (size_t k = 0; k < change.size(); ++k) {
      change[k] -= before[i][k];
      reference[k] -= before[i][k];
    }
    EXPECT_LE(relative_error(change, reference), table[i].trainable != 0 ? kChangeBound : 0)
        << stage << " change of " << table[i].name;
  }
}

TEST_P(GoldenParity, StageOneTrainsTheProjector) {
  train("pretrain", LLV_UNIT_PROJECTOR);
}

TEST_P(GoldenParity, StageTwoTrainsAllButTheTower) {
  train("full", LLV_UNIT_PROJECTOR | LLV_UNIT_EMBED | LLV_UNIT_LAYER | LLV_UNIT_HEAD);
}

TEST_P(GoldenParity, GreedyAnswer) {
  const auto prompt = static_cast<size_t>(
      std::ranges::find_if(batch_.labels, [](int32_t label) { return label != -100; }) -
      batch_.labels.begin());
  Batch question;
  question.add({batch_.tokens.begin(), batch_.tokens.begin() + static_cast<std::ptrdiff_t>(prompt)},
               {});
  const auto image = static_cast<size_t>(case_["patches"].integer());
  question.image_slots.assign(batch_.image_slots.begin(),
                              batch_.image_slots.begin() + static_cast<std::ptrdiff_t>(image));
  question.pixels.assign(
      batch_.pixels.begin(),
      batch_.pixels.begin() + static_cast<std::ptrdiff_t>(batch_.pixels.size() / 2));
  std::vector<int32_t> reference;
  for (const Json& token : case_["greedy"].list) {
    reference.push_back(token.integer());
  }
  llv_sampling sampling;
  ok(llv_sampling_init(&sampling));
  sampling.max_new_tokens = static_cast<int32_t>(reference.size());
  const llv_batch view = question.view();
  std::vector<int32_t> answer(reference.size());
  int32_t length = 0;
  ok(llv_generator_run(make_generator(model_).get(), &view, &sampling, nullptr, 0, answer.data(),
                       sampling.max_new_tokens, &length, 1, nullptr, nullptr));
  EXPECT_EQ(answer, reference);
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenParity, testing::Values("mha", "gqa-sharded-bf16"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace llavasharp::test
