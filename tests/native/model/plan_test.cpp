// The plan of a step against what a step holds, and recomputed layers against kept ones.
#include <fstream>

#include "support/tiny.h"

namespace llavasharp::test {
namespace {

struct Variant {
  const char* name;
  int32_t units;
  int32_t lora_rank;
  int32_t recompute;
  void (*change)(llv_model_config&);
  bool decomposed = false;
};

void PrintTo(const Variant& variant, std::ostream* out) {
  *out << variant.name;
}

void keep(llv_model_config&) {}

const char* const kLinears[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                "mlp.down_proj"};

void attach_everywhere(const Model& model, const llv_model_config& config, int32_t rank,
                       bool decomposed) {
  for (int32_t layer = 0; rank > 0 && layer < config.layers; ++layer) {
    for (const char* linear : kLinears) {
      llv_lora lora;
      ok(llv_lora_init(&lora));
      lora.rank = rank;
      lora.dropout = 0.1;
      lora.decomposed = decomposed ? 1 : 0;
      const std::string name = "layer." + std::to_string(layer) + "." + linear + ".weight";
      ok(llv_model_lora_attach(model.get(), &lora, name.c_str()));
    }
  }
}

// `samples` of an image and 40 tokens of text, half of them supervised.
Batch images_and_text(const llv_model_config& config, int32_t samples) {
  Batch batch;
  Drawer draw(config, 4);
  for (int32_t b = 0; b < samples; ++b) {
    if (config.vision_hidden > 0) {
      draw.add_image(batch, 1, 40, 20);
      if (config.image_newline != 0) {
        batch.tokens[static_cast<size_t>(batch.cu_seqlens.end()[-2])] = LLV_IMAGE_NEWLINE;
      }
    } else {
      draw.add_text(batch, 41, 20);
    }
  }
  return batch;
}

llv_workload workload_of(const llv_model_config& config, const Batch& batch, int32_t units,
                         int32_t lora_rank, int32_t recompute) {
  llv_workload work;
  ok(llv_workload_init(&work));
  work.tokens = static_cast<int64_t>(batch.tokens.size());
  work.samples = batch.samples();
  work.supervised = 20 * batch.samples();
  work.images = config.vision_hidden > 0 ? batch.samples() : 0;
  work.units = units;
  work.lora_rank = lora_rank;
  work.recompute_layers = recompute;
  return work;
}

Trainer make_trainer(const Model& model, int32_t recompute) {
  llv_trainer_options options;
  ok(llv_trainer_options_init(&options));
  options.recompute_layers = recompute;
  options.tokens_at_once = 1 << 30;
  llv_trainer* trainer = nullptr;
  ok(llv_trainer_create(model.get(), &options, &trainer));
  return Trainer(trainer);
}

class PlannedStep : public testing::TestWithParam<Variant> {};

TEST_P(PlannedStep, HoldsWhatThePlanSays) {
  const Variant& variant = GetParam();
  llv_model_config config = tiny_config();
  config.layers = 3;
  config.vocabulary = 700;
  variant.change(config);
  const Batch batch = images_and_text(config, 12);
  llv_workload work =
      workload_of(config, batch, variant.units, variant.lora_rank, variant.recompute);
  work.lora_decomposed = variant.decomposed ? 1 : 0;
  llv_plan plan;
  ok(llv_plan_get(&config, &work, &plan));

  const Engine engine = make_engine();
  const Model model = make_model(engine, config);
  fill_lively(model);
  attach_everywhere(model, config, variant.lora_rank, variant.decomposed);
  ok(llv_model_trainable_set(model.get(), variant.units));
  const Trainer trainer = make_trainer(model, variant.recompute);
  accumulate(trainer, batch, 1.0);
  llv_memory memory;
  ok(llv_engine_memory_get(engine.get(), 0, &memory));
  EXPECT_EQ(plan.parameters, memory.parameters);
  EXPECT_EQ(plan.gradients, memory.gradients);
  EXPECT_EQ(plan.optimizer, memory.optimizer);
  EXPECT_EQ(plan.workspace, memory.workspace);
  EXPECT_GT(plan.workspace, int64_t{64} * 1024 * 4);
  EXPECT_EQ(plan.total,
            plan.parameters + plan.gradients + plan.optimizer + plan.workspace + plan.scratch);
}

INSTANTIATE_TEST_SUITE_P(
    Variants, PlannedStep,
    testing::Values(
        Variant{"pretrain", LLV_UNIT_PROJECTOR, 0, 0, keep},
        Variant{"pretrain_recomputed", LLV_UNIT_PROJECTOR, 0, 2, keep},
        Variant{"lora", LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, 5, 0, keep},
        Variant{"lora_recomputed", LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, 5, 1, keep},
        Variant{"frozen_lora", LLV_UNIT_PROJECTOR, 4, 1, keep},
        Variant{"dora", LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, 5, 0, keep, true},
        Variant{"dora_recomputed", LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, 5, 1, keep, true},
        Variant{"dora_of_high_rank", LLV_UNIT_LORA, 300, 0, keep, true},
        Variant{"full", kAllButTower, 0, 0, keep},
        Variant{"full_recomputed", kAllButTower, 0, 9, keep},
        Variant{"head_alone", LLV_UNIT_HEAD, 0, 0, keep},
        Variant{"embedding_alone", LLV_UNIT_EMBED, 0, 0, keep},
        Variant{"one_layer", kAllButTower, 0, 1, [](llv_model_config& c) { c.layers = 1; }},
        Variant{"text_only", kAllButTower & ~LLV_UNIT_PROJECTOR, 0, 0,
                [](llv_model_config& c) { c.vision_hidden = 0; }},
        Variant{"deep_projector", LLV_UNIT_PROJECTOR, 0, 0,
                [](llv_model_config& c) { c.projector_depth = 3; }},
        Variant{"linear_projector", kAllButTower, 0, 0,
                [](llv_model_config& c) { c.projector = LLV_PROJECTOR_LINEAR; }},
        Variant{"tower_alone", LLV_UNIT_VISION, 0, 0,
                [](llv_model_config& c) {
                  c.image_size = 112;
                  c.vision_feature_layer = -1;
                }},
        Variant{"everything", kAllButTower | LLV_UNIT_VISION, 0, 1, keep},
        Variant{"lora_nf4", LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, 5, 0,
                [](llv_model_config& c) { c.linear_storage = LLV_STORE_NF4; }},
        Variant{"lora_fp4_double_and_bfloat16", LLV_UNIT_LORA, 5, 0,
                [](llv_model_config& c) {
                  c.storage = LLV_STORE_BFLOAT16;
                  c.linear_storage = LLV_STORE_FP4_DOUBLE;
                }},
        Variant{"head_int8", LLV_UNIT_HEAD, 0, 0,
                [](llv_model_config& c) { c.linear_storage = LLV_STORE_INT8; }},
        Variant{"full_bfloat16", kAllButTower, 0, 1,
                [](llv_model_config& c) { c.storage = LLV_STORE_BFLOAT16; }},
        Variant{"newline_alone", LLV_UNIT_NEWLINE, 0, 0,
                [](llv_model_config& c) { c.image_newline = 1; }},
        Variant{"large_images", LLV_UNIT_PROJECTOR, 0, 0,
                [](llv_model_config& c) {
                  c.image_size = 112;  // Several chunks of the tower.
                  c.vision_keep_class_token = 1;
                }}),
    [](const auto& parameter) { return parameter.param.name; });

// The same bits, adapters' dropout included, in less memory.
TEST(Recompute, GivesTheSameGradientsInLessMemory) {
  llv_model_config config = tiny_config();
  config.layers = 4;
  const Batch batch = images_and_text(config, 8);
  std::vector<std::vector<std::vector<float>>> gradients;
  std::vector<int64_t> workspace;
  for (const int32_t recompute : {0, 2, 100}) {
    const Engine engine = make_engine();
    const Model model = make_model(engine, config);
    fill_lively(model);
    attach_everywhere(model, config, 3, false);
    ok(llv_model_trainable_set(model.get(), kAllButTower | LLV_UNIT_LORA));
    const Trainer trainer = make_trainer(model, recompute);
    accumulate(trainer, batch, 1.0);
    gradients.emplace_back();
    for (const llv_parameter& row : table_of(model)) {
      if (row.trainable != 0) {
        gradients.back().push_back(read_slot(trainer, LLV_SLOT_GRADIENT, row));
      }
    }
    llv_memory memory;
    ok(llv_engine_memory_get(engine.get(), 0, &memory));
    workspace.push_back(memory.workspace);
  }
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_EQ(gradients[0], gradients[2]);
  EXPECT_LT(workspace[1], workspace[0]);
  EXPECT_LT(workspace[2], workspace[1]);
}

TEST(Plan, RefusesWhatCannotBe) {
  const llv_model_config config = tiny_config();
  const Batch batch = images_and_text(config, 2);
  const auto expect_failure = [&](const llv_workload& work, const std::string& message) {
    llv_plan plan;
    EXPECT_EQ(llv_plan_get(&config, &work, &plan), LLV_INVALID);
    EXPECT_EQ(std::string(llv_error_message()), message);
  };
  const llv_workload good = workload_of(config, batch, kAllButTower, 0, 0);
  llv_workload bad = good;
  bad.tokens = 0;
  expect_failure(bad, "tokens is 0: must be 1 to 1073741824");
  bad = good;
  bad.samples = 0;
  expect_failure(bad, "samples is 0: must be 1 to 100");
  bad = good;
  bad.supervised = 101;
  expect_failure(bad, "supervised is 101: must be 1 to 100");
  bad = good;
  bad.images = 12;
  expect_failure(bad, "images is 12: must be 0 to 11");
  bad = good;
  bad.units = 128;
  expect_failure(bad, "units is 128: must be 0 to 127");
  bad = good;
  bad.lora_rank = -1;
  expect_failure(bad, "lora_rank is -1: must be 0 to 65536");
  bad = good;
  bad.recompute_layers = -1;
  expect_failure(bad, "recompute_layers is -1: must be 0 to 1073741824");
  bad = good;
  bad.threads = 0;
  expect_failure(bad, "threads is 0: must be 1 to 4096");
  bad.size = 3;
  expect_failure(bad, "workload.size is 3, not 64: call its _init function first");
  llv_trainer_options options;
  ok(llv_trainer_options_init(&options));
  options.recompute_layers = -1;
  const Engine engine = make_engine();
  const Model model = make_model(engine, config);
  ok(llv_model_trainable_set(model.get(), LLV_UNIT_HEAD));
  llv_trainer* trainer = nullptr;
  EXPECT_EQ(llv_trainer_create(model.get(), &options, &trainer), LLV_INVALID);
  EXPECT_STREQ(llv_error_message(), "recompute_layers is -1: must not be negative");
  options.recompute_layers = 0;
  options.tokens_at_once = -1;
  EXPECT_EQ(llv_trainer_create(model.get(), &options, &trainer), LLV_INVALID);
  EXPECT_STREQ(llv_error_message(), "tokens_at_once is -1: must not be negative");
}

}  // namespace
}  // namespace llavasharp::test
