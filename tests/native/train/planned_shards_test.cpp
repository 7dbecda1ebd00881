// The engine's prediction of what a rank holds, beside what ranks then hold; and state in files.
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "support/sharded_run.h"

namespace llavasharp::test {
namespace {

llv_memory memory_of(const Engine& engine) {
  llv_memory memory{};
  ok(llv_engine_memory_get(engine.get(), 0, &memory));
  return memory;
}

struct Planned {
  int32_t world;
  int32_t stage;
  int32_t units;
  int32_t lora_rank;
  bool prefetch;
  int32_t accumulation;
  bool joined;
};

void PrintTo(const Planned& planned, std::ostream* out) {
  *out << planned.world << " ranks, stage " << planned.stage << ", units " << planned.units
       << (planned.prefetch ? ", prefetch" : "") << (planned.joined ? ", joined" : "");
}

class PlannedShards : public testing::TestWithParam<Planned> {};

Model planned_model(const Engine& engine, const Planned& planned) {
  Model model = make_model(engine, tiny_config());
  fill_lively(model);
  for (const llv_parameter& row :
       planned.lora_rank > 0 ? table_of(model) : decltype(table_of(model)){}) {
    if (row.unit_kind == LLV_UNIT_LAYER && row.rank == 2) {
      llv_lora lora;
      ok(llv_lora_init(&lora));
      lora.rank = planned.lora_rank;
      lora.dropout = 0.1;
      ok(llv_model_lora_attach(model.get(), &lora, std::string(row.name).c_str()));
    }
  }
  ok(llv_model_trainable_set(model.get(), planned.units));
  return model;
}

// The engine's own prediction is what ranks then hold, to the byte.
TEST_P(PlannedShards, HoldWhatThePlanSays) {
  const Planned& planned = GetParam();
  const llv_model_config config = tiny_config();
  Batch batch;
  Drawer(config, 3).add_image(batch, 2, 9, 6);
  llv_workload work;
  ok(llv_workload_init(&work));
  work.tokens = static_cast<int64_t>(batch.tokens.size());
  work.samples = batch.samples();
  work.supervised = 6;
  work.images = 1;
  work.units = planned.units;
  work.lora_rank = planned.lora_rank;
  run_ranks(planned.world, [&](const Communicator& communicator, int32_t rank) {
    const Engine engine = make_engine(1);
    const Model model = planned_model(engine, planned);
    const llv_zero_options zero = zero_options(planned.stage, planned.accumulation);
    std::vector<llv_zero_step> steps = PlanMaker(model, planned.stage, planned.prefetch).make();
    if (planned.joined) {
      join(steps);
    }
    llv_plan plan{};
    ok(llv_plan_sharded_get(&config, &work, &zero, planned.world, steps.data(),
                            static_cast<int64_t>(steps.size()), &plan));
    const Trainer trainer =
        make_sharded(model, communicator, zero, 0, planned.prefetch, planned.joined);
    for (int32_t micro = 0; micro < 2 * planned.accumulation; ++micro) {
      accumulate(trainer, batch, kScale);
      double norm = 0;
      if (micro % planned.accumulation == planned.accumulation - 1) {
        ok(llv_trainer_step(trainer.get(), &kGroup, 1, 1.0, &norm));
      }
    }
    const llv_memory memory = memory_of(engine);
    EXPECT_EQ(memory.workspace, plan.workspace);
    EXPECT_EQ(memory.transient, plan.transient);
    if (rank == 0) {
      EXPECT_EQ(memory.parameters, plan.parameters);
      EXPECT_EQ(memory.gradients, plan.gradients);
      EXPECT_EQ(memory.optimizer, plan.optimizer);
    } else {
      EXPECT_LE(memory.parameters, plan.parameters);
      EXPECT_LE(memory.gradients, plan.gradients);
      EXPECT_LE(memory.optimizer, plan.optimizer);
    }
    EXPECT_EQ(plan.total, plan.parameters + plan.gradients + plan.optimizer + plan.transient +
                              plan.workspace + plan.scratch);
  });
}

std::vector<Planned> planned_cases() {
  constexpr int32_t kLora = LLV_UNIT_PROJECTOR | LLV_UNIT_LORA;
  std::vector<Planned> cases;
  for (const int32_t world : {1, 2, 4}) {
    for (const int32_t stage : {0, 1, 2, 3}) {
      const bool prefetch = (world + stage) % 2 == 0;
      cases.push_back({world, stage, kAllButTower, 0, prefetch, 1, world == 4});
      cases.push_back({world, stage, kLora, 3, !prefetch, 2, world != 4});
      cases.push_back({world, stage, LLV_UNIT_PROJECTOR, 0, prefetch, 2, false});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Worlds, PlannedShards, testing::ValuesIn(planned_cases()));

TEST(PlannedShards, NameWhatIsOutOfRange) {
  const llv_model_config config = tiny_config();
  llv_workload work;
  ok(llv_workload_init(&work));
  work.tokens = work.samples = work.supervised = 1;
  work.units = LLV_UNIT_HEAD;
  const auto message = [&](int32_t stage, int32_t world, int32_t unit) {
    llv_zero_options zero = zero_options(0, 1);
    zero.stage = stage;
    const llv_zero_step step{.phase = 0, .op = 0, .unit = unit, .joined = 0};
    llv_plan plan{};
    EXPECT_EQ(llv_plan_sharded_get(&config, &work, &zero, world, &step, 1, &plan), LLV_INVALID);
    return std::string(llv_error_message());
  };
  EXPECT_EQ(message(4, 2, 0), "stage is 4: must be 0 to 3");
  EXPECT_EQ(message(3, 0, 0), "world is 0: must be at least 1");
  EXPECT_EQ(message(3, 2, 99), "step 0 of the plan: unit is 99, must be 0 to 5");
}

// Stage 3, or one process, with what it holds in files of a folder.
struct InFiles {
  Outcome outcome;
  llv_memory memory{};
  int64_t anonymous = 0;  // Bytes that the process gained.
  size_t names = 0;       // Files that are seen in the folder meanwhile.
};

int64_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kib = 0;
    if (word == "RssAnon:" && status >> kib) {
      return 1024 * kib;
    }
  }
  return -1;
}

InFiles train_in_files(const std::string& folder, bool sharded) {
  llv_model_config config = tiny_text_config();
  config.vocabulary = 20000;
  config.hidden = 256;
  InFiles result;
  run_ranks(1, [&](const Communicator& alone, int32_t) {
    const Engine engine = make_engine(1);
    const Model model = make_model(engine, config);
    fill_lively(model);
    ok(llv_model_trainable_set(model.get(), kAllButTower & ~LLV_UNIT_PROJECTOR));
    llv_trainer_options options;
    ok(llv_trainer_options_init(&options));
    options.offload_folder = folder.c_str();
    options.offload_optimizer = folder.empty() ? 0 : 1;
    options.offload_weights = options.offload_optimizer;
    llv_trainer* made = nullptr;
    const std::vector<llv_zero_step> steps = PlanMaker(model, 1).make();
    const llv_zero_options zero = zero_options(1, 1);
    ok(sharded ? llv_trainer_create_sharded(model.get(), &options, alone.get(), &zero, steps.data(),
                                            static_cast<int64_t>(steps.size()), &made)
               : llv_trainer_create(model.get(), &options, &made));
    const Trainer trainer(made);
    const int64_t before = anonymous_bytes();
    for (int64_t step = 0; step < 3; ++step) {
      Batch batch;
      Drawer(config, static_cast<uint32_t>(step)).add_text(batch, 12, 9);
      result.outcome.losses.push_back(accumulate(trainer, batch, kScale).sum);
      double norm = 0;
      ok(llv_trainer_step(trainer.get(), &kGroup, 1, 1.0, &norm));
      result.outcome.norms.push_back(norm);
    }
    result.anonymous = anonymous_bytes() - before;
    result.memory = memory_of(engine);
    result.outcome.units.push_back(unit_weights(trainer, alone, 2));
    if (!folder.empty()) {
      for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        result.names += entry.exists() ? 1 : 0;
      }
    }
  });
  return result;
}

class Folder {
 public:
  Folder()
      : path_(std::filesystem::path(testing::TempDir()) /
              ("offload-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  Folder(Folder&&) = delete;
  Folder& operator=(Folder&&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// The same bytes; memory without the state; nothing in the folder that a crash would leave.
TEST(Offload, KeepsMomentsInFiles) {
  const Folder folder;
  for (const bool sharded : {false, true}) {
    const InFiles without = train_in_files("", sharded);
    const InFiles with = train_in_files(folder.path(), sharded);
    EXPECT_TRUE(with.outcome == without.outcome);
    EXPECT_EQ(with.names, 0U);
    EXPECT_EQ(with.memory.optimizer, 0);
    EXPECT_EQ(with.memory.mapped, without.memory.optimizer);
    EXPECT_EQ(without.memory.mapped, 0);
    EXPECT_EQ(without.memory.peak - with.memory.peak, with.memory.mapped);
    EXPECT_GT(with.memory.mapped, int64_t{70} << 20);
    EXPECT_LT(with.anonymous, without.anonymous - with.memory.mapped * 9 / 10);
  }
}

// In stage 3 the shards of weights, too, trained in from files.
TEST(Offload, KeepsShardsInFiles) {
  const Folder folder;
  std::array<Outcome, 2> outcomes;
  for (const bool files : {false, true}) {
    run_ranks(2, [&](const Communicator& communicator, int32_t rank) {
      const Engine engine = make_engine(1);
      const ZeroRun run{.stage = 3, .world = 2};
      const Model model = run_model(engine, run);
      llv_trainer_options options;
      ok(llv_trainer_options_init(&options));
      const std::string path = folder.path();
      options.offload_folder = path.c_str();
      options.offload_weights = files ? 1 : 0;
      const llv_zero_options zero = zero_options(3, 1);
      const std::vector<llv_zero_step> steps = PlanMaker(model, 3).make();
      llv_trainer* made = nullptr;
      ok(llv_trainer_create_sharded(model.get(), &options, communicator.get(), &zero, steps.data(),
                                    static_cast<int64_t>(steps.size()), &made));
      const Trainer trainer(made);
      Outcome outcome;
      for (int64_t step = 0; step < 3; ++step) {
        accumulate(trainer, run_batch(2 * step + rank), kScale);
        double norm = 0;
        ok(llv_trainer_step(trainer.get(), &kGroup, 1, 1.0, &norm));
        outcome.norms.push_back(norm);
      }
      for (int32_t unit = 1; unit < 6; ++unit) {
        outcome.units.push_back(unit_weights(trainer, communicator, unit));
      }
      EXPECT_EQ(memory_of(engine).mapped > 0, files);
      if (rank == 0) {
        outcomes.at(files ? 1 : 0) = outcome;
      }
    });
  }
  EXPECT_TRUE(outcomes[0] == outcomes[1]);
}

TEST(Offload, SaysWhatIsWrong) {
  const Engine engine = make_engine(1);
  const llv_model_config config = tiny_text_config();
  const auto message = [&](const char* folder) {
    const Model model = make_model(engine, config);
    ok(llv_model_trainable_set(model.get(), LLV_UNIT_HEAD));
    llv_trainer_options options;
    ok(llv_trainer_options_init(&options));
    options.offload_optimizer = 1;
    options.offload_folder = folder;
    llv_trainer* trainer = nullptr;
    const llv_status status = llv_trainer_create(model.get(), &options, &trainer);
    llv_trainer_release(trainer);
    return std::to_string(status) + " " + llv_error_message();
  };
  const std::string invalid = std::to_string(LLV_INVALID);
  EXPECT_EQ(message(""), invalid + " offload_folder is empty: name where the files go");
  EXPECT_EQ(message(nullptr), invalid + " options.offload_folder is null");
  EXPECT_EQ(message("/proc/nowhere"),
            invalid +
                " offload_folder: no file can be made in '/proc/nowhere': No such file or "
                "directory");
  // As a full disk does, a limit on files refuses the space.
  const Folder folder;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
  const rlimit small{.rlim_cur = 1024, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string full = message(folder.path().c_str());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_TRUE(full.starts_with(std::to_string(LLV_OUT_OF_MEMORY) + " offload_folder: '" +
                               folder.path() + "' has no room for "))
      << full;
}

}  // namespace
}  // namespace llavasharp::test
