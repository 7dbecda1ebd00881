// Times whole training steps through the C ABI, beside their floor: --stage pretrain|lora|full
// --size tiny|small, the models, lengths and batch of the Hugging Face peer's script.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>

#include "bench/step_floor.h"
#include "bench/step_problem.h"
#include "core/parallel.h"
#include "core/process.h"

namespace llavasharp::bench {
namespace {

constexpr const char* kUsage =
    "usage: bench_step [--stage pretrain|lora|full] [--size tiny|small] [--batch N] [--threads N]\n"
    "                  [--steps N] [--layers N] [--tokens N] [--json] [--no_floor] [--shapes]\n"
    "                  [--recompute LAYERS] [--tokens_at_once N] [--cpu_time]\n"
    "                  [--dora] [--dropout P]\n"
    "Times training steps (median) beside their floor: the products and attentions of the batch,\n"
    "each timed alone in the same run; --shapes prints them. --cpu_time counts processor time:\n"
    "for one thread on a busy machine. Without arguments: tiny, all stages.\n";

int32_t number(const char* text) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < 1 || value > 1'000'000) {
    throw std::runtime_error(std::string("'") + text + "' is not a number from 1 to 1000000");
  }
  return static_cast<int32_t>(value);
}

StepOptions parse(int argc, char** argv) {
  StepOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&]() -> const char* {
      if (i + 1 >= argc) {
        throw std::runtime_error(flag + " needs a value\n" + kUsage);
      }
      return argv[++i];
    };
    if (flag == "--stage") {
      options.stage = value();
    } else if (flag == "--size") {
      options.size = value();
    } else if (flag == "--batch") {
      options.batch = number(value());
    } else if (flag == "--threads") {
      options.threads = number(value());
    } else if (flag == "--steps") {
      options.steps = number(value());
    } else if (flag == "--layers") {
      options.layers = number(value());
    } else if (flag == "--tokens") {
      options.tokens = number(value());
    } else if (flag == "--json") {
      options.json = true;
    } else if (flag == "--no_floor") {
      options.floor = false;
    } else if (flag == "--recompute") {
      options.recompute = number(value());
    } else if (flag == "--tokens_at_once") {
      options.at_once = number(value());
    } else if (flag == "--dora") {
      options.dora = true;
    } else if (flag == "--dropout") {
      options.dropout = std::stod(value());
    } else if (flag == "--cpu_time") {
      step_clock = Clock::kProcessor;
    } else if (flag == "--shapes") {
      options.shapes = true;
    } else {
      throw std::runtime_error("unknown option " + flag + "\n" + kUsage);
    }
  }
  if (options.stage != "pretrain" && options.stage != "lora" && options.stage != "full") {
    throw std::runtime_error("--stage is '" + options.stage + "': pretrain, lora or full");
  }
  if (options.size != "tiny" && options.size != "small") {
    throw std::runtime_error("--size is '" + options.size + "': tiny or small");
  }
  return options;
}

// The process's peak becomes what it holds now.
void reset_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

struct StepResult {
  double seconds;
  double loss;
  double rss_mib;
};

StepResult time_steps(llv_model* model, const StepBatch& batch, const StepOptions& options) {
  llv_trainer_options trainer_options;
  check(llv_trainer_options_init(&trainer_options));
  trainer_options.recompute_layers = options.recompute;
  trainer_options.tokens_at_once = options.at_once;
  llv_trainer* handle = nullptr;
  reset_peak();  // Everything is loaded; a trainer's state belongs to the step.
  check(llv_trainer_create(model, &trainer_options, &handle));
  const Owned<llv_trainer> trainer(handle);
  const llv_batch view = batch.view();
  const llv_group group{.learning_rate = 1e-3, .weight_decay = 0};
  const double scale = 1.0 / static_cast<double>(batch.rows.size());
  llv_loss loss{};
  const auto step = [&] {
    double norm = 0;
    check(llv_trainer_accumulate(trainer.get(), &view, scale, &loss));
    check(llv_trainer_step(trainer.get(), &group, 1, 1.0, &norm));
  };
  step();  // Memory is planned in the first.
  std::vector<double> times;
  times.reserve(static_cast<size_t>(options.steps));
  for (int32_t i = 0; i < options.steps; ++i) {
    times.push_back(seconds_of(step));
  }
  return {.seconds = median(times),
          .loss = loss.sum / static_cast<double>(loss.tokens),
          .rss_mib = static_cast<double>(core::resident_memory().peak) / (1024.0 * 1024.0)};
}

void report(const StepOptions& options, const StepBatch& batch, const StepWork& work,
            const StepResult& result, double floor) {
  const double samples = options.batch / result.seconds;
  const double tokens = static_cast<double>(batch.tokens.size()) / result.seconds;
  if (options.json) {
    std::printf(
        "{\"engine\": \"llavasharp\", \"stage\": \"%s\", \"size\": \"%s\", \"batch\": %d, "
        "\"threads\": %d, \"sec\": %.4f, \"samples_s\": %.3f, \"tokens_s\": %.1f, \"rss_mib\": "
        "%.0f, "
        "\"flops\": %.4g, \"floor_sec\": %.4f, \"fraction_of_floor\": %.3f, \"loss\": %.4f}\n",
        options.stage.c_str(), options.size.c_str(), options.batch, core::threads(), result.seconds,
        samples, tokens, result.rss_mib, work.flops(), floor, floor / result.seconds, result.loss);
    return;
  }
  std::printf(
      "%s %s, batch %d, %d threads: %.4f s a step, %.3f samples/s, %.1f tokens/s, %.0f GFLOP/s, "
      "peak %.0f MiB; floor %.4f s, %.3f of it reached; loss %.4f\n",
      options.size.c_str(), options.stage.c_str(), options.batch, core::threads(), result.seconds,
      samples, tokens, work.flops() / result.seconds * 1e-9, result.rss_mib, floor,
      floor / result.seconds, result.loss);
}

void run_one(const StepOptions& options) {
  llv_engine_options engine_options;
  check(llv_engine_options_init(&engine_options));
  engine_options.threads = options.threads;
  llv_engine* engine_handle = nullptr;
  check(llv_engine_create(&engine_options, &engine_handle));
  const Owned<llv_engine> engine(engine_handle);
  const llv_model_config config = step_config(options);
  const StepBatch batch(options);
  StepResult result{};
  {
    llv_model* model_handle = nullptr;
    check(llv_model_create(engine.get(), &config, &model_handle));
    const Owned<llv_model> model(model_handle);
    prepare_model(model.get(), options);
    result = time_steps(model.get(), batch, options);
  }
  const StepWork work = StepWorkBuilder(config, batch, options).build();
  const double floor = options.floor ? floor_seconds(work, options.shapes) : 0.0;
  report(options, batch, work, result, floor);
}

int run(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    std::printf("%s", kUsage);
    return 0;
  }
  StepOptions options = parse(argc, argv);
  if (argc > 1) {
    run_one(options);
    return 0;
  }
  options.size = "tiny";
  for (const char* stage : {"pretrain", "lora", "full"}) {
    options.stage = stage;
    run_one(options);
  }
  return 0;
}

}  // namespace
}  // namespace llavasharp::bench

int main(int argc, char** argv) {
  try {
    return llavasharp::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
