// Models whose weights are stored in fewer bits: they compute as float32 models of the same values
// do, bit for bit, in less memory.
#include "support/tiny.h"

namespace llavasharp::test {
namespace {

struct Kind {
  const char* name;
  int32_t storage;
  int32_t linears;
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

llv_model_config stored_config(const Kind& kind) {
  llv_model_config config = tiny_config();
  config.image_newline = 1;
  config.storage = kind.storage;
  config.linear_storage = kind.linears;
  return config;
}

void attach(const Model& model) {
  for (const char* name : {"layer.0.self_attn.q_proj.weight", "layer.0.mlp.up_proj.weight",
                           "layer.1.self_attn.v_proj.weight", "layer.1.mlp.down_proj.weight"}) {
    llv_lora lora;
    ok(llv_lora_init(&lora));
    lora.dropout = 0.1;
    ok(llv_model_lora_attach(model.get(), &lora, name));
  }
}

Batch batch_of(const llv_model_config& config) {
  Batch batch = mixed_batch(config);
  batch.tokens[1] = LLV_IMAGE_NEWLINE;
  return batch;
}

// A stored model, and a float32 model of what it stores.
struct Pair {
  explicit Pair(const Kind& kind) : config(stored_config(kind)) {
    plain_config = config;
    plain_config.storage = plain_config.linear_storage = LLV_STORE_FLOAT32;
    stored = make_model(engine, config);
    fill_lively(stored);
    plain = make_model(engine, plain_config);
    for (const llv_parameter& row : table_of(stored)) {
      write(plain, row, read(stored, row));
    }
  }
  llv_model_config config, plain_config;
  Engine engine = make_engine();
  Model stored, plain;
};

class Storage : public testing::TestWithParam<Kind> {};

TEST_P(Storage, ChoosesParametersAsBitsandbytesDoes) {
  const Kind& kind = GetParam();
  const Pair pair(kind);
  const Model drawn = make_model(pair.engine, pair.plain_config);
  fill_lively(drawn);
  for (const llv_parameter& row : table_of(drawn)) {
    const std::string name = row.name;
    const bool linear = row.unit_kind == LLV_UNIT_LAYER && row.rank == 2;
    const bool same = row.unit_kind == LLV_UNIT_LAYER && kind.linears != 0
                          ? !linear
                          : kind.storage == LLV_STORE_FLOAT32;
    EXPECT_EQ(read(drawn, row) == read(pair.stored, row), same) << name;
    // What is stored is stored as itself.
    write(pair.stored, row, read(pair.plain, row));
    if (kind.linears != LLV_STORE_NF4_DOUBLE && kind.linears != LLV_STORE_FP4_DOUBLE) {
      EXPECT_LT(relative_error(read(pair.stored, row), read(pair.plain, row)), 1e-7) << name;
    }
  }
}

TEST_P(Storage, AnswersAsFloat32OfTheSameValuesDoes) {
  const Pair pair(GetParam());
  const Batch batch = batch_of(pair.config);
  EXPECT_EQ(losses_of(pair.stored, batch), losses_of(pair.plain, batch));
  EXPECT_EQ(logits_of(pair.stored, batch, {3, 0, 9}, 37),
            logits_of(pair.plain, batch, {3, 0, 9}, 37));
  const auto features = [&](const Model& model) {
    std::vector<float> values(static_cast<size_t>(2 * image_rows_of(pair.config)) * 24);
    ok(llv_model_project_run(model.get(), batch.pixels.data(),
                             static_cast<int64_t>(batch.pixels.size()), values.data(),
                             static_cast<int64_t>(values.size())));
    return values;
  };
  EXPECT_EQ(features(pair.stored), features(pair.plain));
  const auto answers = [&](const Model& model) {
    const Generator generator = make_generator(model);
    llv_sampling sampling;
    ok(llv_sampling_init(&sampling));
    sampling.max_new_tokens = 6;
    std::vector<int32_t> tokens(static_cast<size_t>(6 * batch.samples()));
    std::vector<int32_t> lengths(static_cast<size_t>(batch.samples()));
    const llv_batch view = batch.view();
    ok(llv_generator_run(generator.get(), &view, &sampling, nullptr, 0, tokens.data(),
                         static_cast<int64_t>(tokens.size()), lengths.data(), batch.samples(),
                         nullptr, nullptr));
    return tokens;
  };
  EXPECT_EQ(answers(pair.stored), answers(pair.plain));
}

TEST_P(Storage, TrainsAdaptersAsFloat32OfTheSameValuesDoes) {
  const Pair pair(GetParam());
  const Batch batch = batch_of(pair.config);
  const auto train = [&](const Model& model, int32_t recompute) {
    attach(model);
    ok(llv_model_trainable_set(model.get(), LLV_UNIT_LORA));
    llv_trainer_options options;
    ok(llv_trainer_options_init(&options));
    options.recompute_layers = recompute;
    llv_trainer* handle = nullptr;
    ok(llv_trainer_create(model.get(), &options, &handle));
    const Trainer trainer(handle);
    std::vector<std::vector<float>> seen;
    for (int step = 0; step < 3; ++step) {
      accumulate(trainer, batch, 0.1);
      accumulate(trainer, batch, 0.1);
      for (const llv_parameter& row : table_of(model)) {
        if (row.trainable != 0) {
          seen.push_back(read_slot(trainer, LLV_SLOT_GRADIENT, row));
          seen.push_back(read(model, row));
        }
      }
      const llv_group group{.learning_rate = 1e-2, .weight_decay = 0.1};
      double norm = 0;
      ok(llv_trainer_step(trainer.get(), &group, 1, 1.0, &norm));
    }
    return seen;
  };
  EXPECT_EQ(train(pair.stored, 1), train(pair.plain, 0));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, Storage,
    testing::Values(Kind{"bfloat16", LLV_STORE_BFLOAT16, 0}, Kind{"int8", 0, LLV_STORE_INT8},
                    Kind{"nf4", 0, LLV_STORE_NF4}, Kind{"nf4_double", 0, LLV_STORE_NF4_DOUBLE},
                    Kind{"fp4", 0, LLV_STORE_FP4}, Kind{"fp4_double", 0, LLV_STORE_FP4_DOUBLE},
                    Kind{"nf4_beside_bfloat16", LLV_STORE_BFLOAT16, LLV_STORE_NF4_DOUBLE},
                    Kind{"int8_beside_bfloat16", LLV_STORE_BFLOAT16, LLV_STORE_INT8}),
    [](const auto& parameter) { return parameter.param.name; });

float nearest_bfloat16(float value) {
  int exponent = 0;
  const double fraction = std::frexp(static_cast<double>(value), &exponent);
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8));
}

// By a float32 model whose weights are rounded for each micro-batch, and put back for each update.
TEST(Masters, TrainWhatBFloat16Computes) {
  const Pair pair({"", LLV_STORE_BFLOAT16, 0});
  const Batch batch = batch_of(pair.config);
  const int32_t units = kAllButTower | LLV_UNIT_VISION;
  ok(llv_model_trainable_set(pair.stored.get(), units));
  ok(llv_model_trainable_set(pair.plain.get(), units));
  const Trainer ours = make_trainer(pair.stored);
  const Trainer theirs = make_trainer(pair.plain);
  const llv_group group{.learning_rate = 1e-3, .weight_decay = 0.1};
  const std::vector<llv_parameter> rows = table_of(pair.plain);
  for (int step = 0; step < 3; ++step) {
    std::vector<std::vector<float>> masters;
    for (const llv_parameter& row : rows) {
      masters.push_back(read(pair.plain, row));
      std::vector<float> rounded;
      for (const float value : masters.back()) {
        rounded.push_back(nearest_bfloat16(value));
      }
      write(pair.plain, row, rounded);
    }
    EXPECT_EQ(losses_of(pair.stored, batch), losses_of(pair.plain, batch));
    EXPECT_EQ(accumulate(ours, batch, 0.1).sum, accumulate(theirs, batch, 0.1).sum);
    for (size_t i = 0; i < rows.size(); ++i) {
      write(pair.plain, rows[i], masters[i]);
    }
    double norm = 0;
    double same = 0;
    ok(llv_trainer_step(ours.get(), &group, 1, 1.0, &norm));
    ok(llv_trainer_step(theirs.get(), &group, 1, 1.0, &same));
    EXPECT_EQ(norm, same);
    bool between = false;
    for (const llv_parameter& row : rows) {
      const std::vector<float> master = read(pair.stored, row);
      EXPECT_EQ(master, read(pair.plain, row)) << row.name;
      between = between || nearest_bfloat16(master[0]) != master[0];
    }
    EXPECT_TRUE(between);
  }
}

TEST(Masters, BecomeBFloat16WhereTheyNoLongerTrain) {
  const Pair pair({"", LLV_STORE_BFLOAT16, 0});
  ok(llv_model_trainable_set(pair.stored.get(), LLV_UNIT_HEAD));
  const std::vector<llv_parameter> rows = table_of(pair.stored);
  const llv_parameter& head = rows[rows.size() - 2];
  ASSERT_STREQ(head.name, "head.weight");
  const std::vector<float> exact(static_cast<size_t>(head.count), 1.001F);
  write(pair.stored, head, exact);
  EXPECT_EQ(read(pair.stored, head), exact);
  ok(llv_model_trainable_set(pair.stored.get(), LLV_UNIT_LORA));
  EXPECT_EQ(read(pair.stored, head), std::vector<float>(exact.size(), 1.0F));
}

int64_t parameter_bytes(const Engine& engine) {
  llv_memory memory;
  ok(llv_engine_memory_get(engine.get(), 0, &memory));
  return memory.parameters;
}

// A layer of 7 linears of 256 × 256: bytes a weight as the formats say; and while the model is
// filled nothing more is held than that and one layer in float32.
TEST(StorageMemory, IsWhatTheFormatsSay) {
  llv_model_config config = tiny_text_config();
  config.hidden = config.intermediate = 256;
  config.heads = config.kv_heads = 4;
  config.head_dim = 64;
  config.layers = 12;
  config.vocabulary = 32;
  const double weights = 12.0 * 7 * 256 * 256;
  const int64_t others = 4L * (12 * 2 * 256 + 2 * 32 * 256 + 256);
  const int64_t working = 4L * (7 * 256 * 256 + 2 * 256);
  const auto bytes_per_weight = [&](int32_t linears) {
    config.linear_storage = linears;
    const Engine engine = make_engine();
    const Model model = make_model(engine, config);
    fill_lively(model);
    llv_memory memory;
    ok(llv_engine_memory_get(engine.get(), 0, &memory));
    EXPECT_EQ(memory.peak, memory.parameters + memory.workspace);
    EXPECT_EQ(memory.workspace, 0);
    const int64_t held = parameter_bytes(engine) - others - working;
    return static_cast<double>(held) / weights;
  };
  // 64-byte lines make the scales' pieces a little longer.
  EXPECT_NEAR(bytes_per_weight(LLV_STORE_INT8), 1 + 4.0 / 256, 1e-9);
  EXPECT_NEAR(bytes_per_weight(LLV_STORE_NF4), 0.5 + 4.0 / 64, 1e-9);
  EXPECT_NEAR(bytes_per_weight(LLV_STORE_NF4_DOUBLE), 0.5 + 1.0 / 64 + 64.0 / 65536, 1e-9);
  EXPECT_NEAR(bytes_per_weight(LLV_STORE_FP4), 0.5 + 4.0 / 64, 1e-9);
}

TEST(StorageErrors, AreNamed) {
  const Pair pair({"", 0, LLV_STORE_INT8});
  const Model& model = pair.stored;
  EXPECT_EQ(llv_model_trainable_set(model.get(), kAllButTower), LLV_UNSUPPORTED);
  EXPECT_STREQ(llv_error_message(), "'layer.0' is stored as int8: it cannot train");
  attach(model);
  ok(llv_model_trainable_set(model.get(), LLV_UNIT_LORA));
  Trainer trainer = make_trainer(model);
  float value = 0;
  EXPECT_EQ(llv_trainer_shard_read(trainer.get(), LLV_SLOT_WEIGHT, 3, &value, 1), LLV_STATE);
  EXPECT_STREQ(llv_error_message(),
               "the unit is frozen and not stored as float32: llv_model_parameter_read and _write "
               "have its parameters");
  trainer.reset();
  EXPECT_EQ(llv_model_lora_merge(model.get()), LLV_UNSUPPORTED);
  EXPECT_STREQ(llv_error_message(), "'layer.0' is stored as int8: merging needs float32");
  for (const int32_t linears : {LLV_STORE_INT8, LLV_STORE_NF4, LLV_STORE_FP4_DOUBLE}) {
    const Pair other({"", 0, linears});
    for (const llv_parameter& row : table_of(other.stored)) {
      if (std::string(row.name) != "layer.1.mlp.down_proj.weight") {
        continue;
      }
      std::vector<float> values(static_cast<size_t>(row.count), 1.0F);
      values[70] = std::nanf("");
      EXPECT_EQ(llv_model_parameter_write(other.stored.get(), row.name, LLV_FLOAT32, row.shape,
                                          row.rank, values.data(), row.count * 4),
                LLV_INVALID);
      const std::string format = linears == LLV_STORE_INT8  ? "int8"
                                 : linears == LLV_STORE_NF4 ? "nf4"
                                                            : "fp4";
      EXPECT_EQ(std::string(llv_error_message()),
                "'layer.1.mlp.down_proj.weight' holds a value that is not finite: it cannot be "
                "stored as " +
                    format);
    }
  }
}

}  // namespace
}  // namespace llavasharp::test
