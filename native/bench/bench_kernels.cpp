// Checks every kernel against a reference, then times it, beside what this machine can do: the
// bandwidth of a copy and the rate of a large matrix product, both measured first and on the same
// threads. Takes Google Benchmark's options.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdio>
#include <exception>

#include "bench/bench_case.h"
#include "bench/cases_products.h"
#include "bench/cases_rows.h"
#include "core/libtorch.h"
#include "core/parallel.h"

namespace llavasharp::bench {
namespace {

constexpr double kFloat = sizeof(float);

double best_seconds(const std::function<void()>& run) {
  double best = 1e300;
  for (int i = 0; i < 7; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count());
  }
  return best;
}

struct Ceilings {
  double bytes_per_second;
  double flops_per_second;
};

Ceilings measure_ceilings() {
  const int64_t rows = 4096;
  const int64_t cols = 8192;  // 128 MiB each: more than the caches hold.
  Data from(rows, cols);
  Data to(rows, cols);
  const double copy = best_seconds([&] { backend::cpu_kernels().copy(to.view(), from.view()); });
  const Case gemm = product(1024, 2048, 1024);
  return {.bytes_per_second = 2.0 * kFloat * static_cast<double>(rows * cols) / copy,
          .flops_per_second = 2.0 * 1024 * 2048 * 1024 / best_seconds(gemm.run)};
}

// `passes`: how many floats of a [rows, cols] matrix a kernel must read and write.
Entry row_entry(const std::string& name, double passes, double bound, int64_t rows, int64_t cols,
                const std::function<Case(int64_t, int64_t)>& make) {
  return {.name = name + "/" + std::to_string(rows) + "x" + std::to_string(cols),
          .bytes = passes * kFloat * static_cast<double>(rows * cols),
          .flops = 0.0,
          .bound = bound,
          .small = [=] { return make(7, 133); },
          .timed = [=] { return make(rows, cols); },
          .reason = ""};
}

Entry product_entry(const std::string& name, int64_t m, int64_t n, int64_t k) {
  return {.name = "matmul_nt/" + name,
          .bytes = 0.0,
          .flops = 2.0 * static_cast<double>(m * n) * static_cast<double>(k),
          .bound = 1e-6,
          .small = [] { return product(37, 65, 129); },
          .timed = [=] { return product(m, n, k); },
          .reason = ""};
}

Entry attention_entry(const std::string& name, const AttentionSize& size, bool backward) {
  AttentionSize small = size;
  small.samples = 2;
  small.length = 61;
  return {.name = (backward ? "attention_backward/" : "attention_forward/") + name,
          .bytes = 0.0,
          .flops = attention_flops(size, backward),
          .bound = backward ? 4e-6 : 2e-6,
          .small = [=] { return attention(small, backward); },
          .timed = [=] { return attention(size, backward); },
          .reason = "exponentials beside the products, and heads narrower than a product's depth"};
}

Entry because(Entry entry, const char* reason) {
  entry.reason = reason;
  return entry;
}

// One row reads the whole weight once: memory bounds it.
Entry one_row_entry(int64_t n, int64_t k) {
  Entry entry =
      product_entry("one_token_1x" + std::to_string(n) + "x" + std::to_string(k), 1, n, k);
  entry.bytes = kFloat * static_cast<double>(n * k);
  entry.flops = 0.0;
  return entry;
}

std::vector<Entry> entries() {
  constexpr const char* kExponential = "an exponential and a division an element: arithmetic";
  const int64_t rows = 2400;  // Tokens of a micro-batch.
  const auto gelu = [](int64_t r, int64_t c) { return activation(r, c, Activation::kGelu); };
  const auto quick = [](int64_t r, int64_t c) { return activation(r, c, Activation::kQuickGelu); };
  std::vector<Entry> list{
      row_entry("rms_norm_forward", 2, 1e-6, rows, 768, rms_norm),
      row_entry("rms_norm_backward", 3, 2e-6, rows, 768, rms_norm_backward),
      row_entry("layer_norm_forward", 2, 1e-6, rows, 768, layer_norm),
      because(row_entry("swiglu_forward", 3, 1e-6, rows, 2048, swiglu), kExponential),
      because(row_entry("swiglu_backward", 5, 1e-6, rows, 2048, swiglu_backward), kExponential),
      because(row_entry("bias_gelu_forward", 3, 1e-6, rows, 2048, gelu), kExponential),
      because(row_entry("bias_quick_gelu_forward", 3, 1e-6, rows, 2048, quick), kExponential),
      because(row_entry("cross_entropy", 2, 1e-6, 128, 32000, cross_entropy),
              "three passes over a row, one of them exponentials, sums in double"),
      because(row_entry("column_sum", 1, 2e-6, rows, 2048, column_sum),
              "reads alone, and the ceiling counts a copy's reads and writes"),
      row_entry("add", 3, 1e-7, rows, 2048, add),
      because(row_entry("adamw", 7, 1e-6, 4096, 4096,
                        [](int64_t r, int64_t c) { return adamw(r * c); }),
              "a root and a division an element, seven streams at once"),
      row_entry("rope", 2, 1e-5, rows, 1536,
                [](int64_t r, int64_t c) {
                  return rope(r, static_cast<int32_t>(std::max<int64_t>(1, c / 64)), 64);
                }),
      product_entry("tiny_2560x512x128", 2560, 512, 128),
      product_entry("small_2400x2304x768", 2400, 2304, 768),
      because(product_entry("head_128x32000x768", 128, 32000, 768),
              "128 rows do not hide the packing of the weight"),
      one_row_entry(2048, 768),
  };
  for (const bool backward : {false, true}) {
    list.push_back(attention_entry("demo_32x80x4x32", {32, 80, 4, 4, 32, true}, backward));
    list.push_back(attention_entry("vision_4x577x6x64", {4, 577, 6, 6, 64, false}, backward));
    list.push_back(attention_entry("long_2x1200x12x64", {2, 1200, 12, 12, 64, true}, backward));
    list.push_back(
        attention_entry("grouped_1x1024x32_8x128", {1, 1024, 32, 8, 128, true}, backward));
  }
  return list;
}

// False when the kernel is wrong: it is then not worth timing.
bool validate(const Entry& entry) {
  const Case small = entry.small();
  small.run();
  const double error = small.error();
  const bool right = error <= entry.bound;
  if (!right) {
    std::printf("%s is wrong: relative error %.2g, bound %.2g\n", entry.name.c_str(), error,
                entry.bound);
  }
  return right;
}

void measure(benchmark::State& state, const Entry& entry, const Ceilings& ceilings) {
  const Case timed = entry.timed();
  timed.run();  // Scratch memory is there from now on.
  const auto start = std::chrono::steady_clock::now();
  while (state.KeepRunning()) {
    timed.run();
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  const double runs_per_second = static_cast<double>(state.iterations()) / taken.count();
  const double share = entry.flops > 0.0
                           ? entry.flops * runs_per_second / ceilings.flops_per_second
                           : entry.bytes * runs_per_second / ceilings.bytes_per_second;
  if (share < 0.7) {
    state.SetLabel(entry.reason.empty() ? "below 0.7, and no reason is known" : entry.reason);
  }
  if (entry.flops > 0.0) {
    state.counters["GFLOP/s"] = entry.flops * runs_per_second * 1e-9;
    state.counters["of_gemm"] = entry.flops * runs_per_second / ceilings.flops_per_second;
  } else {
    state.counters["GB/s"] = entry.bytes * runs_per_second * 1e-9;
    state.counters["of_copy"] = entry.bytes * runs_per_second / ceilings.bytes_per_second;
  }
}

class KernelBenchmark : public benchmark::internal::Benchmark {
 public:
  KernelBenchmark(const Entry& entry, const Ceilings& ceilings)
      : Benchmark(entry.name.c_str()), entry_(entry), ceilings_(ceilings) {}
  void Run(benchmark::State& state) override { measure(state, entry_, ceilings_); }

 private:
  const Entry& entry_;  // Outlives the run.
  Ceilings ceilings_;
};

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  bool right = true;
  const std::vector<Entry> list = entries();
  for (const Entry& entry : list) {
    right = validate(entry) && right;
  }
  if (!right) {
    return 1;
  }
  const Ceilings ceilings = measure_ceilings();
  std::printf(
      "%zu kernels agree with their references. libtorch %s, %s, %d threads.\n"
      "Ceilings: copy %.1f GB/s, matrix product %.1f GFLOP/s.\n",
      list.size(), core::libtorch_version(), backend::cpu_simd_name(), core::threads(),
      ceilings.bytes_per_second * 1e-9, ceilings.flops_per_second * 1e-9);
  for (const Entry& entry : list) {
    // The registry owns what it is given.
    auto timed = std::make_unique<KernelBenchmark>(entry, ceilings);
    timed->UseRealTime()->Unit(benchmark::kMicrosecond);
    benchmark::internal::RegisterBenchmarkInternal(timed.release());
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace llavasharp::bench

int main(int argc, char** argv) {
  try {
    return llavasharp::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
