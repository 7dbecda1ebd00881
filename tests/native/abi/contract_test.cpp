// The C ABI's promises: messages, releases in any order, one thread at a time, callbacks.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "support/tiny.h"

namespace llavasharp::test {
namespace {

int64_t alive() {
  int64_t count = -1;
  ok(llv_live_count_get(&count));
  return count;
}

void expect_failure(llv_status status, llv_status expected, const std::string& message) {
  EXPECT_EQ(status, expected);
  EXPECT_EQ(std::string(llv_error_message()), message);
}

TEST(Contract, LibraryDescribesItself) {
  llv_library_info info;
  ok(llv_library_info_get(&info));
  EXPECT_EQ(info.abi_version, LLV_ABI_VERSION);
  EXPECT_STREQ(info.version, "0.1.0");
  EXPECT_TRUE(std::string(info.libtorch).starts_with("2.")) << info.libtorch;
  EXPECT_GT(std::string(info.simd).size(), 1U);
  expect_failure(llv_library_info_get(nullptr), LLV_INVALID, "out_info is null");
}

TEST(Contract, MessageIsClearedBySuccessAndIsTheThreadsOwn) {
  expect_failure(llv_live_count_get(nullptr), LLV_INVALID, "out_count is null");
  std::thread([] { EXPECT_STREQ(llv_error_message(), ""); }).join();
  EXPECT_STREQ(llv_error_message(), "out_count is null");
  alive();
  EXPECT_STREQ(llv_error_message(), "");
}

TEST(Contract, LongMessagesEndWithinTheBufferAsUtf8) {
  const Engine engine = make_engine();
  const Model model = make_model(engine, tiny_text_config());
  std::string name;
  for (int i = 0; i < 700; ++i) {
    name += "é";
  }
  EXPECT_EQ(llv_model_parameter_read(model.get(), name.c_str(), nullptr, 0), LLV_INVALID);
  const std::string message = llv_error_message();
  EXPECT_LT(message.size(), 1024U);
  EXPECT_TRUE(message.ends_with("é")) << message.size();
}

TEST(Contract, EchoReturnsWhatItWasGiven) {
  const llv_echo value{.i32 = -7, .f32 = 1.5F, .i64 = int64_t{1} << 40, .f64 = -0.25, .text = "ü"};
  const std::array<int64_t, 3> span{1, -10, int64_t{1} << 50};
  llv_echo out{};
  int64_t sum = 0;
  ok(llv_echo_get(&value, span.data(), 3, &out, &sum));
  EXPECT_EQ(out.i32, value.i32);
  EXPECT_EQ(out.f32, value.f32);
  EXPECT_EQ(out.i64, value.i64);
  EXPECT_EQ(out.f64, value.f64);
  EXPECT_EQ(out.text, value.text);
  EXPECT_EQ(sum, (int64_t{1} << 50) - 9);
  ok(llv_echo_get(&value, nullptr, 0, &out, &sum));
  EXPECT_EQ(sum, 0);
  expect_failure(llv_echo_get(&value, nullptr, 2, &out, &sum), LLV_INVALID,
                 "span is null, and span_count is 2");
  expect_failure(llv_echo_get(&value, span.data(), -1, &out, &sum), LLV_INVALID,
                 "span_count is -1: must not be negative");
}

TEST(Contract, HandlesMayBeReleasedInAnyOrder) {
  const int64_t before = alive();
  for (int order = 0; order < 24; ++order) {
    Engine engine = make_engine();
    Model model = make_model(engine, tiny_config());
    ok(llv_model_trainable_set(model.get(), LLV_UNIT_HEAD));
    Trainer trainer = make_trainer(model);
    Generator generator = make_generator(model);
    EXPECT_EQ(alive(), before + 4);
    std::array<int, 4> turn{0, 1, 2, 3};
    for (int i = 0; i < order; ++i) {
      std::next_permutation(turn.begin(), turn.end());
    }
    for (const int which : turn) {
      which == 0   ? engine.reset()
      : which == 1 ? model.reset()
      : which == 2 ? trainer.reset()
                   : generator.reset();
    }
    EXPECT_EQ(alive(), before) << order;
  }
  llv_engine_release(nullptr);
  llv_model_release(nullptr);
  llv_trainer_release(nullptr);
  llv_generator_release(nullptr);
}

TEST(Contract, AChildWorksAfterItsParentsHandleIsGone) {
  Engine engine = make_engine();
  Model model = make_model(engine, tiny_config());
  fill_lively(model);
  ok(llv_model_trainable_set(model.get(), kAllButTower));
  const Trainer trainer = make_trainer(model);
  engine.reset();
  model.reset();
  EXPECT_GT(accumulate(trainer, mixed_batch(tiny_config()), 1.0).sum, 0);
}

TEST(Contract, OptionsMustBeInitialised) {
  llv_engine_options options{};
  llv_engine* engine = nullptr;
  expect_failure(llv_engine_create(&options, &engine), LLV_INVALID,
                 "options.size is 0, not 24: call its _init function first");
  ok(llv_engine_options_init(&options));
  options.device = 7;
  expect_failure(llv_engine_create(&options, &engine), LLV_INVALID, "device is 7: must be 0 to 2");
  options.device = LLV_DEVICE_CPU;
  options.index = 1;
  expect_failure(llv_engine_create(&options, &engine), LLV_INVALID,
                 "index is 1: the CPU is device 0, others count from 0");
  options.index = 0;
  options.threads = -1;
  expect_failure(llv_engine_create(&options, &engine), LLV_INVALID,
                 "threads is -1: must be 0 (libtorch's choice) to 4096");
  for (const int32_t device : {LLV_DEVICE_CUDA, LLV_DEVICE_HPU}) {
    ok(llv_engine_options_init(&options));
    options.device = device;
    EXPECT_EQ(llv_engine_create(&options, &engine), LLV_UNSUPPORTED);
    EXPECT_NE(std::string(llv_error_message()), "");
  }
  EXPECT_EQ(engine, nullptr);
  expect_failure(llv_engine_create(nullptr, &engine), LLV_INVALID, "options is null");
  ok(llv_engine_options_init(&options));
  expect_failure(llv_engine_create(&options, nullptr), LLV_INVALID, "out_engine is null");
}

TEST(Contract, MemoryIsCounted) {
  const Engine engine = make_engine();
  llv_memory memory;
  ok(llv_engine_memory_get(engine.get(), 1, &memory));
  EXPECT_EQ(memory.parameters + memory.gradients + memory.optimizer + memory.workspace, 0);
  EXPECT_GT(memory.resident, 0);
  EXPECT_GE(memory.resident_peak, memory.resident);
  {
    const Model model = make_model(engine, tiny_config());
    fill_lively(model);
    ok(llv_model_trainable_set(model.get(), LLV_UNIT_HEAD));
    const Trainer trainer = make_trainer(model);
    accumulate(trainer, mixed_batch(tiny_config()), 1.0);
    ok(llv_engine_memory_get(engine.get(), 0, &memory));
    EXPECT_EQ(memory.optimizer, 2 * memory.gradients);
    EXPECT_EQ(memory.gradients, 4 * (32 + 37 * 24 + 8));  // Padded to 64 bytes: norm, then head.
    EXPECT_GT(memory.parameters, memory.gradients);
    EXPECT_GT(memory.workspace, 0);
  }
  ok(llv_engine_memory_get(engine.get(), 1, &memory));
  EXPECT_EQ(memory.parameters + memory.gradients + memory.optimizer, 0);
  EXPECT_GT(memory.peak, memory.workspace);
  ok(llv_engine_memory_get(engine.get(), 0, &memory));
  EXPECT_EQ(memory.peak, memory.workspace);
  int32_t threads = 0;
  ok(llv_engine_threads_get(engine.get(), &threads));
  EXPECT_EQ(threads, 1);
}

// A generation that waits in its callback, so that others meet a busy engine.
struct Waiting {
  std::atomic<bool> inside{false};
  std::atomic<bool> go_on{false};
  llv_engine* engine = nullptr;
  llv_status from_callback = LLV_OK;
  std::string message;
};

int32_t wait_inside(int32_t, int32_t, void* user) {
  auto* waiting = static_cast<Waiting*>(user);
  int32_t threads = 0;
  waiting->from_callback = llv_engine_threads_get(waiting->engine, &threads);
  waiting->message = llv_error_message();
  waiting->inside = true;
  while (!waiting->go_on) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return 0;
}

TEST(Contract, OneThreadIsInsideAnEngineAtATime) {
  const int64_t before = alive();
  Engine engine = make_engine();
  Model model = make_model(engine, tiny_text_config());
  Generator generator = make_generator(model);
  Batch prompt;
  prompt.add({1, 2, 3}, {});
  Waiting waiting;
  waiting.engine = engine.get();
  std::thread runner([&] {
    const llv_batch view = prompt.view();
    llv_sampling sampling;
    ok(llv_sampling_init(&sampling));
    sampling.max_new_tokens = 1;
    int32_t token = -1;
    int32_t length = 0;
    ok(llv_generator_run(generator.get(), &view, &sampling, nullptr, 0, &token, 1, &length, 1,
                         wait_inside, &waiting));
  });
  while (!waiting.inside) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  int64_t count = 0;
  expect_failure(llv_model_parameter_count(model.get(), &count), LLV_BUSY,
                 "another thread is inside this engine: use one thread at a time");
  model.reset();  // Put off until the runner leaves.
  const Engine other = make_engine();
  int32_t threads = 0;
  ok(llv_engine_threads_get(other.get(), &threads));
  waiting.go_on = true;
  runner.join();
  EXPECT_EQ(waiting.from_callback, LLV_STATE);
  EXPECT_EQ(waiting.message, "a callback may not call into the engine that is running it");
  generator.reset();
  engine.reset();
  EXPECT_EQ(alive(), before + 1);
}

TEST(Contract, ReleasesOnAnotherThreadNeverMakeACallBusy) {
  const Engine engine = make_engine();
  std::vector<Model> models;
  models.reserve(200);
  for (int i = 0; i < 200; ++i) {
    models.push_back(make_model(engine, tiny_text_config()));
  }
  std::thread finalizer([&] { models.clear(); });
  for (int i = 0; i < 2000; ++i) {
    int32_t threads = 0;
    ok(llv_engine_threads_get(engine.get(), &threads));
  }
  finalizer.join();
}

TEST(Contract, LogGoesToTheCallbackByLevel) {
  std::vector<std::string> lines;
  const llv_log_fn keep_line = [](int32_t level, const char* message, void* user) {
    static_cast<std::vector<std::string>*>(user)->push_back(std::to_string(level) + " " + message);
  };
  ok(llv_log_set(LLV_LOG_INFO, keep_line, &lines));
  make_engine();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].starts_with("1 engine 0.1.0: ")) << lines[0];
  ok(llv_log_set(LLV_LOG_WARNING, keep_line, &lines));
  make_engine();
  ok(llv_log_set(LLV_LOG_INFO, nullptr, nullptr));
  make_engine();
  EXPECT_EQ(lines.size(), 1U);
  expect_failure(llv_log_set(4, nullptr, nullptr), LLV_INVALID, "level is 4: must be 0 to 3");
}

}  // namespace
}  // namespace llavasharp::test
