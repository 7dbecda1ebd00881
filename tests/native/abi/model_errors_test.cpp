// What the model's functions refuse, with the text that a user reads.
#include <functional>
#include <limits>

#include "support/tiny.h"

namespace llavasharp::test {
namespace {

void expect_failure(llv_status status, llv_status expected, const std::string& message) {
  EXPECT_EQ(status, expected) << message;
  EXPECT_EQ(std::string(llv_error_message()), message);
}

TEST(ConfigErrors, AreNamedWithTheirValues) {
  const Engine engine = make_engine();
  const auto refuse = [&](const std::function<void(llv_model_config&)>& change, llv_status status,
                          const std::string& message) {
    llv_model_config config = tiny_config();
    change(config);
    llv_model* model = nullptr;
    expect_failure(llv_model_create(engine.get(), &config, &model), status, message);
    EXPECT_EQ(model, nullptr);
  };
  using C = llv_model_config;
  refuse([](C& c) { c.size = 3; }, LLV_INVALID,
         "config.size is 3, not 120: call its _init function first");
  refuse([](C& c) { c.hidden = 0; }, LLV_INVALID, "hidden is 0: must be 1 to 1048576");
  refuse([](C& c) { c.layers = -1; }, LLV_INVALID, "layers is -1: must be 1 to 4096");
  refuse([](C& c) { c.vocabulary = 1 << 25; }, LLV_INVALID,
         "vocabulary is 33554432: must be 1 to 16777216");
  refuse([](C& c) { c.head_dim = 11; }, LLV_SHAPE,
         "head_dim is 11: rotary positions need an even one");
  refuse([](C& c) { c.kv_heads = 3; }, LLV_SHAPE, "heads is 4: not a multiple of kv_heads, 3");
  refuse([](C& c) { c.norm_eps = 0; }, LLV_INVALID, "norm_eps is 0: must be positive and finite");
  refuse([](C& c) { c.rope_theta = std::numeric_limits<double>::infinity(); }, LLV_INVALID,
         "rope_theta is inf: must be positive and finite");
  refuse([](C& c) { c.rope_dtype = 3; }, LLV_INVALID, "rope_dtype is 3: must be 0 to 2");
  refuse([](C& c) { c.storage = LLV_STORE_INT8; }, LLV_INVALID, "storage is 2: must be 0 to 1");
  refuse([](C& c) { c.linear_storage = LLV_STORE_BFLOAT16; }, LLV_INVALID,
         "linear_storage is 1: must be 2 to 6");
  refuse([](C& c) { c.vision_heads = 5; }, LLV_SHAPE,
         "vision_hidden is 24: not a multiple of vision_heads, 5");
  refuse([](C& c) { c.patch_size = 5; }, LLV_SHAPE,
         "image_size is 12: not a multiple of patch_size, 5");
  refuse([](C& c) { c.vision_feature_layer = 3; }, LLV_INVALID,
         "vision_feature_layer is 3: must be -3 to 2");
  refuse([](C& c) { c.vision_activation = 2; }, LLV_INVALID,
         "vision_activation is 2: must be 0 to 1");
  refuse([](C& c) { c.projector = 3; }, LLV_INVALID, "projector is 3: must be 0 to 2");
  refuse([](C& c) { c.projector_depth = 0; }, LLV_INVALID, "projector_depth is 0: must be 1 to 64");
  refuse([](C& c) { c.projector = LLV_PROJECTOR_IDENTITY, c.hidden = 30; }, LLV_SHAPE,
         "an identity projector needs vision_hidden (24) equal to hidden (30)");
  llv_model_config large = tiny_config();
  large.vision_hidden = 0, large.vocabulary = 1 << 24, large.hidden = 1 << 20;
  llv_model* none = nullptr;
  EXPECT_EQ(llv_model_create(engine.get(), &large, &none), LLV_OUT_OF_MEMORY);
  EXPECT_EQ(std::string(llv_error_message())
                .rfind("out of memory: 70368744177664 bytes (67108864.0 MiB) could not be "
                       "allocated; the ",
                       0),
            0U);
}

class ModelErrors : public testing::Test {
 protected:
  llv_model_config config_ = tiny_config();
  Engine engine_ = make_engine();
  Model model_ = make_model(engine_, config_);
  Batch batch_ = mixed_batch(config_);

  void refuse(const std::function<void(Batch&)>& change, llv_status status,
              const std::string& message) {
    Batch batch = batch_;
    change(batch);
    const llv_batch view = batch.view();
    double losses[4];
    int64_t tokens[4];
    expect_failure(llv_model_loss_run(model_.get(), &view, losses, 4, tokens, 4), status, message);
  }
};

TEST_F(ModelErrors, BatchesAreChecked) {
  refuse([](Batch& b) { b.tokens.clear(); }, LLV_INVALID, "the batch has no tokens");
  refuse([](Batch& b) { b.labels.pop_back(); }, LLV_SHAPE, "labels has 39 entries for 40 tokens");
  refuse([](Batch& b) { b.labels.clear(); }, LLV_INVALID, "labels is null: a loss needs labels");
  refuse([](Batch& b) { b.positions.push_back(0); }, LLV_SHAPE,
         "positions has 41 entries for 40 tokens");
  refuse([](Batch& b) { b.positions[5] = -1; }, LLV_INVALID,
         "positions[5] is -1: must not be negative");
  refuse([](Batch& b) { b.tokens[0] = 37; }, LLV_INVALID, "tokens[0] is 37: must be 0 to 36");
  refuse([](Batch& b) { b.tokens[1] = LLV_IMAGE_NEWLINE; }, LLV_INVALID,
         "tokens[1] is image_newline (-2), which this model does not have");
  refuse([](Batch& b) { b.labels[9] = -1; }, LLV_INVALID,
         "labels[9] is -1: must be -100 or 0 to 36");
  refuse([](Batch& b) { b.cu_seqlens = {0}; }, LLV_SHAPE,
         "cu_seqlens has 1 entries: B+1 with B ≥ 1");
  refuse([](Batch& b) { b.cu_seqlens[0] = 1; }, LLV_INVALID, "cu_seqlens[0] is 1: must be 0");
  refuse([](Batch& b) { b.cu_seqlens[2] = b.cu_seqlens[1]; }, LLV_INVALID,
         "cu_seqlens[2] is 18, not above 18: samples are not empty");
  refuse([](Batch& b) { b.cu_seqlens.back() = 50; }, LLV_SHAPE,
         "cu_seqlens ends at 50, the batch has 40 tokens");
  refuse([](Batch& b) { b.pixels.pop_back(); }, LLV_SHAPE,
         "pixels has 863 values: not a multiple of 3·12·12 = 432");
  refuse([](Batch& b) { b.image_slots.pop_back(); }, LLV_SHAPE,
         "image_slots has 17 entries: 2 images of 9 rows need 18");
  refuse([](Batch& b) { b.image_slots[2] = 40; }, LLV_INVALID,
         "image_slots[2] is 40: must be -1 or 0 to 39");
  refuse([](Batch& b) { b.image_slots[2] = b.image_slots[1]; }, LLV_INVALID,
         "image_slots[2] is 3: that token is replaced twice");
  llv_batch view = batch_.view();
  view.size = 8;
  double loss = 0;
  int64_t tokens = 0;
  expect_failure(llv_model_loss_run(model_.get(), &view, &loss, 1, &tokens, 1), LLV_INVALID,
                 "batch.size is 8, not 104: call its _init function first");
  view = batch_.view();
  expect_failure(llv_model_loss_run(model_.get(), &view, &loss, 1, &tokens, 1), LLV_SHAPE,
                 "loss has room for 1 values, 4 are needed");
}

TEST_F(ModelErrors, RowsAndFeaturesAreChecked) {
  const llv_batch view = batch_.view();
  int32_t row = 40;
  float values[37];
  expect_failure(llv_model_logits_run(model_.get(), &view, &row, 1, values, 37), LLV_INVALID,
                 "rows[0] is 40: must be 0 to 39");
  row = 0;
  expect_failure(llv_model_logits_run(model_.get(), &view, &row, 1, values, 36), LLV_SHAPE,
                 "logits has room for 36 values, 37 are needed");
  expect_failure(llv_model_vision_run(model_.get(), nullptr, 0, values, 1), LLV_INVALID,
                 "pixels is empty: at least one image is needed");
  expect_failure(llv_model_project_run(model_.get(), batch_.pixels.data(), 432, values, 37),
                 LLV_SHAPE, "features has room for 37 values, 216 are needed");
  const Model text = make_model(engine_, tiny_text_config());
  expect_failure(llv_model_vision_run(text.get(), batch_.pixels.data(), 432, values, 37),
                 LLV_INVALID, "the model has no vision tower, and 432 pixel values were given");
}

TEST_F(ModelErrors, ParametersAreChecked) {
  llv_parameter row;
  expect_failure(llv_model_parameter_get(model_.get(), 64, &row), LLV_INVALID,
                 "index is 64: the table has rows 0 to 63");
  const std::vector<float> values(24 * 37);
  const int64_t shape[] = {37, 23};
  expect_failure(llv_model_parameter_write(model_.get(), "head.weight", LLV_FLOAT32, shape, 2,
                                           values.data(), 4),
                 LLV_SHAPE, "'head.weight' has shape [37, 24], [37, 23] was given");
  const int64_t right[] = {37, 24};
  expect_failure(llv_model_parameter_write(model_.get(), "head.weight", LLV_FLOAT16, right, 2,
                                           values.data(), 888 * 4),
                 LLV_SHAPE, "'head.weight' needs 1776 bytes, 3552 were given");
  expect_failure(
      llv_model_parameter_write(model_.get(), "head.weight", 9, right, 2, values.data(), 888 * 4),
      LLV_INVALID, "dtype is 9: must be 0 to 3");
  float one = 0;
  expect_failure(llv_model_parameter_read(model_.get(), "nothing", &one, 1), LLV_INVALID,
                 "no parameter is named 'nothing'");
  expect_failure(llv_model_parameter_read(model_.get(), nullptr, &one, 1), LLV_INVALID,
                 "name is null");
  expect_failure(llv_model_parameter_fill(model_.get(), "head.weight", 3, 0, 1, 0), LLV_INVALID,
                 "fill is 3: must be 0 to 2");
  expect_failure(llv_model_parameter_fill(model_.get(), "head.weight", LLV_FILL_NORMAL, 0, -1, 0),
                 LLV_INVALID, "the deviation is -1: must not be negative");
  expect_failure(llv_model_parameter_fill(model_.get(), "head.weight", LLV_FILL_UNIFORM, 2, 1, 0),
                 LLV_INVALID, "the range 2 to 1 is empty");
  expect_failure(llv_model_trainable_set(model_.get(), 128), LLV_INVALID,
                 "the unit kinds are 0x80: only bits of 0x7f exist");
  expect_failure(llv_model_parameter_count(nullptr, nullptr), LLV_INVALID, "model is null");
}

TEST_F(ModelErrors, SamplingIsChecked) {
  const Generator generator = make_generator(model_);
  const llv_batch view = batch_.view();
  const auto refuse_sampling = [&](const std::function<void(llv_sampling&)>& change,
                                   const std::string& message) {
    llv_sampling sampling;
    ok(llv_sampling_init(&sampling));
    sampling.max_new_tokens = 2;
    change(sampling);
    int32_t tokens[8];
    int32_t lengths[4];
    EXPECT_NE(llv_generator_run(generator.get(), &view, &sampling, nullptr, 0, tokens, 8, lengths,
                                4, nullptr, nullptr),
              LLV_OK);
    EXPECT_EQ(std::string(llv_error_message()), message);
  };
  refuse_sampling([](llv_sampling& s) { s.temperature = -1; },
                  "temperature is -1: must be 0 or more, and finite");
  refuse_sampling([](llv_sampling& s) { s.top_p = 0; },
                  "top_p is 0: must be above 0 and at most 1");
  refuse_sampling([](llv_sampling& s) { s.top_k = -2; }, "top_k is -2: must be 0 (all) or more");
  refuse_sampling([](llv_sampling& s) { s.max_new_tokens = 0; },
                  "max_new_tokens is 0: must be 1 or more");
  refuse_sampling([](llv_sampling& s) { s.max_new_tokens = 3; },
                  "out_tokens has room for 8 tokens: 4 prompts of 3 need 12");
  refuse_sampling([](llv_sampling& s) { s.size = 1; },
                  "sampling.size is 1, not 40: call its _init function first");
}

}  // namespace
}  // namespace llavasharp::test
