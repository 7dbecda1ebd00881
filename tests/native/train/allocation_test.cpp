// A steady training step allocates nothing: counted by taking malloc's place in this program, so
// that libtorch's and the standard library's allocations count as ours do.
#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstdlib>

#include "support/sharded_run.h"

namespace {
std::atomic<bool> counting{false};
std::atomic<int64_t> allocations{0};
}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCounts = false;  // The sanitizer's allocator has taken the place already.
#else
constexpr bool kCounts = true;

namespace {
void count() {
  if (counting.load(std::memory_order_relaxed)) {
    allocations.fetch_add(1, std::memory_order_relaxed);
  }
}
}  // namespace

// glibc's own names for what is replaced. operator new comes here as well.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): the names are glibc's, and reserved for it.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
// NOLINTEND(bugprone-reserved-identifier)

void* malloc(size_t size) {
  count();
  return __libc_malloc(size);
}
void* calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}
void* realloc(void* block, size_t size) {
  count();
  return __libc_realloc(block, size);
}
void* memalign(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, size_t alignment, size_t size) {
  count();
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}
}
#endif

namespace llavasharp::test {
namespace {

struct Stage {
  const char* name;
  int32_t units;
  bool lora;
  int32_t threads;
  // Wide: our own products where the machine has them. Else every product is libtorch's.
  bool wide;
  int32_t storage = LLV_STORE_FLOAT32;
  int32_t linear_storage = LLV_STORE_FLOAT32;
  bool decomposed = false;
};

void PrintTo(const Stage& stage, std::ostream* out) {
  *out << stage.name;
}

class Allocation : public testing::TestWithParam<Stage> {};

TEST_P(Allocation, TheTenthStepAllocatesNothing) {
  if (!kCounts) {
    GTEST_SKIP() << "a sanitizer has replaced malloc";
  }
  const Stage& stage = GetParam();
  const Engine engine = make_engine(stage.threads);
  llv_model_config config = tiny_config();
  if (stage.wide) {
    config.hidden = 96;
    config.intermediate = 160;
    config.vision_hidden = 48;
    config.vocabulary = 300;
  }
  config.storage = stage.storage;
  config.linear_storage = stage.linear_storage;
  const Model model = make_model(engine, config);
  fill_lively(model);
  if (stage.lora) {
    for (const char* name : {"layer.0.self_attn.q_proj.weight", "layer.1.self_attn.v_proj.weight",
                             "layer.1.mlp.down_proj.weight"}) {
      llv_lora lora;
      ok(llv_lora_init(&lora));
      lora.dropout = 0.1;
      lora.decomposed = stage.decomposed ? 1 : 0;
      ok(llv_model_lora_attach(model.get(), &lora, name));
    }
  }
  ok(llv_model_trainable_set(model.get(), stage.units));
  const Trainer trainer = make_trainer(model);
  const Batch batch = mixed_batch(config);
  const llv_batch view = batch.view();
  const llv_group group{.learning_rate = 1e-3, .weight_decay = 0.1};
  const auto step = [&] {
    llv_loss loss{};
    double norm = 0;
    return llv_trainer_accumulate(trainer.get(), &view, 0.1, &loss) == LLV_OK &&
           llv_trainer_step(trainer.get(), &group, 1, 1.0, &norm) == LLV_OK;
  };
  for (int i = 0; i < 9; ++i) {
    ASSERT_TRUE(step()) << llv_error_message();
  }
  allocations = 0;
  counting = true;
  const bool done = step();
  counting = false;
  ASSERT_TRUE(done) << llv_error_message();
  EXPECT_EQ(allocations.load(), 0);
  // The counter counts.
  counting = true;
  const std::vector<float> probe(1000, 1.0F);
  counting = false;
  EXPECT_GE(allocations.load(), 1) << probe[7];
}

// Communication does not allocate either, nor does what is whole for a while.
TEST(ShardedAllocation, TheTenthStepAllocatesNothing) {
  if (!kCounts) {
    GTEST_SKIP() << "a sanitizer has replaced malloc";
  }
  for (const int32_t stage : {1, 3}) {
    std::barrier together(2);
    run_ranks(2, [&](const Communicator& communicator, int32_t rank) {
      const ZeroRun run{.stage = stage, .world = 2};
      const Engine engine = make_engine(1);
      const Model model = run_model(engine, run);
      const Trainer trainer = make_sharded(model, communicator, zero_options(stage, 1));
      const Batch batch = run_batch(1 + rank);
      const llv_batch view = batch.view();
      for (int i = 0; i < 10; ++i) {
        together.arrive_and_wait();
        if (i == 9 && rank == 0) {
          allocations = 0;
          counting = true;
        }
        together.arrive_and_wait();
        llv_loss loss{};
        double norm = 0;
        const bool done = llv_trainer_accumulate(trainer.get(), &view, 0.1, &loss) == LLV_OK &&
                          llv_trainer_step(trainer.get(), &kGroup, 1, 1.0, &norm) == LLV_OK;
        together.arrive_and_wait();
        counting = false;
        EXPECT_TRUE(done) << llv_error_message();
      }
      EXPECT_EQ(allocations.load(), 0) << stage;
      together.arrive_and_wait();
    });
  }
}

INSTANTIATE_TEST_SUITE_P(
    Stages, Allocation,
    testing::Values(Stage{"pretrain", LLV_UNIT_PROJECTOR, false, 1, false},
                    Stage{"pretrain_wide", LLV_UNIT_PROJECTOR, false, 2, true},
                    Stage{"lora", LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, true, 2, false},
                    Stage{"lora_wide", LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, true, 1, true},
                    Stage{"dora", LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, true, 2, false,
                          LLV_STORE_FLOAT32, LLV_STORE_FLOAT32, true},
                    Stage{"dora_wide", LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, true, 1, true,
                          LLV_STORE_FLOAT32, LLV_STORE_FLOAT32, true},
                    Stage{"full", kAllButTower, false, 1, false},
                    Stage{"full_wide", kAllButTower, false, 1, true},
                    Stage{"full_bfloat16", kAllButTower, false, 1, false, LLV_STORE_BFLOAT16},
                    Stage{"lora_nf4", LLV_UNIT_PROJECTOR | LLV_UNIT_LORA, true, 2, true,
                          LLV_STORE_BFLOAT16, LLV_STORE_NF4_DOUBLE}),
    [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace llavasharp::test
