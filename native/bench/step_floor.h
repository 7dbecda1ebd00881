// The floor of a training step: the matrix products and attentions that its batch needs, each timed
// alone in this process, on the same threads. A product counts with the faster of our own code and
// libtorch's, attention with our kernel. The last layer is counted pruned to what labels need.
#pragma once

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/kernels.h"
#include "bench/step_problem.h"
#include "core/matmul.h"

namespace llavasharp::bench {

using core::View;

// Wall time, or with one thread on a busy machine the process's own.
enum class Clock { kWall, kProcessor };
inline Clock step_clock = Clock::kWall;

inline double now() {
  timespec time{};
  clock_gettime(step_clock == Clock::kWall ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

inline double seconds_of(const std::function<void()>& run) {
  const double start = now();
  run();
  return now() - start;
}

// The median of `times`, which is reordered.
inline double median(std::vector<double> times) {
  std::ranges::sort(times);
  const size_t half = times.size() / 2;
  return times.size() % 2 == 1 ? times[half] : (times[half - 1] + times[half]) / 2;
}

inline double alone(const std::function<void()>& run) {
  run();  // Pages and scratch are there from now on.
  return median({seconds_of(run), seconds_of(run), seconds_of(run)});
}

// Floats that are neither zero nor alike.
struct Values {
  explicit Values(int64_t count) : floats(static_cast<size_t>(count)) {
    uint32_t state = 1;
    for (float& value : floats) {
      state = state * 1664525U + 1013904223U;
      value = static_cast<float>(state >> 8U) * 0x1p-24F - 0.5F;
    }
  }
  [[nodiscard]] View view(int64_t rows, int64_t cols) {
    return core::dense(floats.data(), rows, cols);
  }
  std::vector<float> floats;
};

enum class Form { kForward, kInput, kWeight };  // x Wᵀ, dy W, dW += dyᵀ x

// out[m,n] over k, `count` times in a step.
struct Product {
  const char* name;
  Form form;
  int64_t m, n, k, count;
  [[nodiscard]] double flops() const {
    return 2.0 * static_cast<double>(m * n) * static_cast<double>(k * count);
  }
};

// Seconds of one of the product, by the faster way.
inline double product_seconds(const Product& p) {
  Values a(p.m * p.k);
  Values b(p.n * p.k);
  Values c(p.m * p.n);
  const View out = c.view(p.m, p.n);
  const bool ta = p.form == Form::kWeight;
  const bool tb = p.form == Form::kForward;
  const View left = ta ? a.view(p.k, p.m) : a.view(p.m, p.k);
  const View right = tb ? b.view(p.n, p.k) : b.view(p.k, p.n);
  const double theirs = alone([&] {
    core::matmul_by_libtorch(out, left, ta, right, tb,
                             ta ? core::Accumulate::kYes : core::Accumulate::kNo);
  });
  const double ours = alone([&] {
    switch (p.form) {
      case Form::kForward:
        core::matmul_nt(out, left, right);
        break;
      case Form::kInput:
        core::matmul_nn(out, left, right);
        break;
      case Form::kWeight:
        core::matmul_tn(out, left, right, core::Accumulate::kYes);
        break;
    }
  });
  return std::min(ours, theirs);
}

// An attention over packed samples, `forward` and `backward` times in a step.
struct Attention {
  const char* name;
  std::vector<int32_t> q_start, k_start, k_count, visible;
  int32_t heads, head_dim;
  int64_t forward, backward;
  [[nodiscard]] int64_t rows() const { return q_start.back(); }
  // Multiplications and additions of one forward pass: two products over what is visible.
  [[nodiscard]] double flops() const {
    double pairs = 0;
    for (size_t b = 0; b < k_count.size(); ++b) {
      for (int32_t row = q_start[b]; row < q_start[b + 1]; ++row) {
        pairs += visible.empty() ? k_count[b] : visible[static_cast<size_t>(row)];
      }
    }
    return 4.0 * pairs * heads * head_dim;
  }
};

struct AttentionSeconds {
  double forward = 0;
  double backward = 0;
};

inline AttentionSeconds attention_seconds(const Attention& a) {
  const int64_t width = int64_t{a.heads} * a.head_dim;
  const int64_t keys = a.k_start.back() + a.k_count.back();
  Values q(a.rows() * width), kv(keys * 2 * width), out(a.rows() * width), lse(a.rows() * a.heads);
  Values dout(a.rows() * width), dq(a.rows() * width), dkv(keys * 2 * width);
  const backend::AttentionShape shape{.samples = static_cast<int64_t>(a.k_count.size()),
                                      .q_start = a.q_start.data(),
                                      .k_start = a.k_start.data(),
                                      .k_count = a.k_count.data(),
                                      .q_visible = a.visible.empty() ? nullptr : a.visible.data(),
                                      .heads = a.heads,
                                      .kv_heads = a.heads,
                                      .head_dim = a.head_dim,
                                      .scale = 0.125F};
  const auto rows = [&](Values& values) { return values.view(a.rows(), width); };
  const View k = kv.view(keys, 2 * width).col_range(0, width);
  const View v = kv.view(keys, 2 * width).col_range(width, width);
  const View dk = dkv.view(keys, 2 * width).col_range(0, width);
  const View dv = dkv.view(keys, 2 * width).col_range(width, width);
  const View sums = lse.view(a.rows(), a.heads);
  const backend::Kernels& kernels = backend::cpu_kernels();
  AttentionSeconds seconds;
  seconds.forward =
      alone([&] { kernels.attention_forward(rows(out), sums, rows(q), k, v, shape); });
  if (a.backward > 0) {
    seconds.backward = alone([&] {
      kernels.attention_backward(rows(dq), dk, dv, rows(dout), rows(out), sums, rows(q), k, v,
                                 shape);
    });
  }
  return seconds;
}

struct StepWork {
  std::vector<Product> products;
  std::vector<Attention> attentions;
  [[nodiscard]] double flops() const {
    double sum = 0;
    for (const Product& product : products) {
      sum += product.flops();
    }
    for (const Attention& a : attentions) {
      // Backward: five products where forward has two.
      sum += a.flops() * (static_cast<double>(a.forward) + 2.5 * static_cast<double>(a.backward));
    }
    return sum;
  }
};

// Everything that the stage's step on this batch needs.
class StepWorkBuilder {
 public:
  StepWorkBuilder(const llv_model_config& config, const StepBatch& batch,
                  const StepOptions& options)
      : c_(config), batch_(batch), full_(options.stage == "full"), lora_(options.stage == "lora") {}

  [[nodiscard]] StepWork build() {
    add_tower();
    add_layers(c_.layers - 1, tokens(), tokens());
    add_layers(1, static_cast<int64_t>(batch_.rows.size()), tokens());
    linear("head", static_cast<int64_t>(batch_.rows.size()), c_.vocabulary, c_.hidden, 1, false);
    return std::move(work_);
  }

 private:
  [[nodiscard]] int64_t tokens() const { return static_cast<int64_t>(batch_.tokens.size()); }

  void product(const char* name, Form form, int64_t m, int64_t n, int64_t k, int64_t count) {
    work_.products.push_back({.name = name, .form = form, .m = m, .n = n, .k = k, .count = count});
  }
  // Forward, input gradient, and what the stage trains of it.
  void linear(const char* name, int64_t rows, int64_t out, int64_t in, int64_t count,
              bool adapter = true, int64_t parts = 1) {
    product(name, Form::kForward, rows, out, in, count);
    product(name, Form::kInput, rows, in, out, count);
    if (full_) {
      product(name, Form::kWeight, out, in, rows, count);
    }
    if (lora_ && adapter) {
      const int64_t ranks = parts * kLoraRank;
      product("lora u", Form::kForward, rows, ranks, in, count);
      product("lora y", Form::kForward, rows, out / parts, kLoraRank, count * parts);
      product("lora du", Form::kInput, rows, kLoraRank, out / parts, count * parts);
      product("lora dB", Form::kWeight, out / parts, kLoraRank, rows, count * parts);
      product("lora dA", Form::kWeight, ranks, in, rows, count);
      product("lora dx", Form::kInput, rows, in, ranks, count);
    }
  }
  void add_tower() {
    const int64_t images = batch_.samples();
    const int64_t patches = images * StepBatch::kImageRows;
    const int64_t rows = images + patches;
    const int64_t width = c_.vision_hidden;
    const int64_t layers = c_.vision_layers - 1;  // Feature layer -2.
    product("tower patches", Form::kForward, patches, width, 3 * 14 * 14, 1);
    product("tower qkv", Form::kForward, rows, 3 * width, width, layers);
    product("tower out", Form::kForward, rows, width, width, layers);
    product("tower fc1", Form::kForward, rows, c_.vision_intermediate, width, layers);
    product("tower fc2", Form::kForward, rows, width, c_.vision_intermediate, layers);
    Attention attention{.name = "tower",
                        .q_start = {},
                        .k_start = {},
                        .k_count = {},
                        .visible = {},
                        .heads = c_.vision_heads,
                        .head_dim = c_.vision_hidden / c_.vision_heads,
                        .forward = layers,
                        .backward = 0};
    for (int32_t image = 0; image < images; ++image) {
      attention.q_start.push_back(image * (1 + StepBatch::kImageRows));
      attention.k_start.push_back(image * (1 + StepBatch::kImageRows));
      attention.k_count.push_back(1 + StepBatch::kImageRows);
    }
    attention.q_start.push_back(static_cast<int32_t>(rows));
    work_.attentions.push_back(std::move(attention));
    product("projector 0", Form::kForward, patches, c_.hidden, width, 1);
    product("projector 0", Form::kWeight, c_.hidden, width, patches, 1);
    product("projector 2", Form::kForward, patches, c_.hidden, c_.hidden, 1);
    product("projector 2", Form::kInput, patches, c_.hidden, c_.hidden, 1);
    product("projector 2", Form::kWeight, c_.hidden, c_.hidden, patches, 1);
  }
  // Layers whose queries, and all that follows, are `rows` of `all` tokens.
  void add_layers(int64_t count, int64_t rows, int64_t all) {
    if (count == 0) {
      return;
    }
    const int64_t width = c_.hidden;
    const bool pruned = rows != all;
    if (pruned) {
      linear("kv", all, 2 * width, width, count, true, 2);
      linear("q", rows, width, width, count);
    } else {
      linear("qkv", all, 3 * width, width, count, true, 3);
    }
    linear("o", rows, width, width, count);
    linear("gate up", rows, 2 * int64_t{c_.intermediate}, width, count, true, 2);
    linear("down", rows, width, c_.intermediate, count);
    Attention attention{.name = pruned ? "last layer" : "layer",
                        .q_start = pruned ? batch_.row_starts : batch_.starts,
                        .k_start = {batch_.starts.begin(), batch_.starts.end() - 1},
                        .k_count = {},
                        .visible = {},
                        .heads = c_.heads,
                        .head_dim = c_.head_dim,
                        .forward = count,
                        .backward = count};
    for (size_t b = 0; b + 1 < batch_.starts.size(); ++b) {
      attention.k_count.push_back(batch_.starts[b + 1] - batch_.starts[b]);
    }
    if (pruned) {
      for (const int32_t row : batch_.rows) {
        attention.visible.push_back(batch_.visible[static_cast<size_t>(row)]);
      }
    } else {
      attention.visible = batch_.visible;
    }
    work_.attentions.push_back(std::move(attention));
  }

  const llv_model_config& c_;
  const StepBatch& batch_;
  bool full_;
  bool lora_;
  StepWork work_;
};

// Seconds of all of it; with `print`, a line each.
inline double floor_seconds(const StepWork& work, bool print) {
  static constexpr const char* kForms[] = {"y = x Wt", "dx = dy W", "dW += dyt x"};
  double total = 0;
  for (const Product& p : work.products) {
    const double each = product_seconds(p);
    total += each * static_cast<double>(p.count);
    if (print) {
      std::fprintf(
          stderr, "%-14s %-11s [%lld, %lld] over %lld, %lld times: %.1f ms each, %.0f GFLOP/s\n",
          p.name, kForms[static_cast<int>(p.form)], static_cast<long long>(p.m),
          static_cast<long long>(p.n), static_cast<long long>(p.k), static_cast<long long>(p.count),
          each * 1e3, p.flops() / static_cast<double>(p.count) / each * 1e-9);
    }
  }
  for (const Attention& a : work.attentions) {
    const AttentionSeconds each = attention_seconds(a);
    total += each.forward * static_cast<double>(a.forward) +
             each.backward * static_cast<double>(a.backward);
    if (print) {
      std::fprintf(stderr,
                   "attention, %s: %lld queries, %lld times forward: %.1f ms each, %.0f GFLOP/s; "
                   "%lld backward: %.1f ms, %.0f GFLOP/s\n",
                   a.name, static_cast<long long>(a.rows()), static_cast<long long>(a.forward),
                   each.forward * 1e3, a.flops() / each.forward * 1e-9,
                   static_cast<long long>(a.backward), each.backward * 1e3,
                   each.backward > 0 ? 2.5 * a.flops() / each.backward * 1e-9 : 0.0);
    }
  }
  return total;
}

}  // namespace llavasharp::bench
