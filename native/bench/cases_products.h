// Cases that are bound by arithmetic: matrix products and attention.
#pragma once

#include "bench/bench_case.h"
#include "core/matmul.h"

namespace llavasharp::bench {

using backend::AttentionShape;
using backend::cpu_kernels;

// y = x Wᵀ.
inline Case product(int64_t m, int64_t n, int64_t k) {
  auto a = data(m, k);
  auto b = data(n, k, 2);
  auto out = data(m, n);
  return {.run = [=] { core::matmul_nt(out->view(), a->view(), b->view()); },
          .error =
              [=] {
                return relative_error(*out, [&](int64_t row, int64_t col) {
                  double sum = 0.0;
                  for (int64_t i = 0; i < k; ++i) {
                    sum += (*a)(row, i) * (*b)(col, i);
                  }
                  return sum;
                });
              }};
}

struct AttentionSize {
  int32_t samples, length, heads, kv_heads, head_dim;
  bool causal;
};

// Packed samples of one length, with query, key and value side by side as a fused projection leaves
// them, and the results in double.
struct AttentionData {
  explicit AttentionData(const AttentionSize& s)
      : size(s),
        rows(int64_t{s.samples} * s.length),
        q_cols(int64_t{s.heads} * s.head_dim),
        k_cols(int64_t{s.kv_heads} * s.head_dim),
        qkv(rows, q_cols + 2 * k_cols, 1),
        dout(rows, q_cols, 2),
        out(rows, q_cols),
        dqkv(rows, q_cols + 2 * k_cols),
        log_sum_exp(rows, s.heads) {
    for (int32_t sample = 0; sample < s.samples; ++sample) {
      start.push_back(sample * s.length);
      count.push_back(s.length);
      for (int32_t i = 0; i < s.length; ++i) {
        visible.push_back(s.causal ? i + 1 : s.length);
      }
    }
    start.push_back(s.samples * s.length);
  }
  [[nodiscard]] AttentionShape shape() const {
    return {.samples = size.samples,
            .q_start = start.data(),
            .k_start = start.data(),
            .k_count = count.data(),
            .q_visible = visible.data(),
            .heads = size.heads,
            .kv_heads = size.kv_heads,
            .head_dim = size.head_dim,
            .scale = 1.0F / std::sqrt(static_cast<float>(size.head_dim))};
  }
  void forward() {
    const View all = qkv.view();
    cpu_kernels().attention_forward(out.view(), log_sum_exp.view(), all.col_range(0, q_cols),
                                    all.col_range(q_cols, k_cols),
                                    all.col_range(q_cols + k_cols, k_cols), shape());
  }
  void backward() {
    const View all = qkv.view();
    const View grad = dqkv.view();
    cpu_kernels().attention_backward(grad.col_range(0, q_cols), grad.col_range(q_cols, k_cols),
                                     grad.col_range(q_cols + k_cols, k_cols), dout.view(),
                                     out.view(), log_sum_exp.view(), all.col_range(0, q_cols),
                                     all.col_range(q_cols, k_cols),
                                     all.col_range(q_cols + k_cols, k_cols), shape());
  }
  // Adds one query head's row to the results in double.
  void reference_row(int64_t row, int64_t head, std::vector<double>& result,
                     std::vector<double>& gradient) const;
  [[nodiscard]] double error(bool backward) const;

  AttentionSize size;
  int64_t rows, q_cols, k_cols;
  Data qkv, dout, out, dqkv, log_sum_exp;
  std::vector<int32_t> start, count, visible;
};

inline void AttentionData::reference_row(int64_t row, int64_t head, std::vector<double>& result,
                                         std::vector<double>& gradient) const {
  const int64_t dim = size.head_dim;
  const int64_t q_col = head * dim;
  const int64_t k_col = q_cols + head / (size.heads / size.kv_heads) * dim;
  const int64_t first = row / size.length * size.length;
  std::vector<double> p(static_cast<size_t>(visible[static_cast<size_t>(row)]));
  std::vector<double> dp(p.size());
  double sum = 0.0;
  for (size_t j = 0; j < p.size(); ++j) {
    const int64_t key = first + static_cast<int64_t>(j);
    for (int64_t i = 0; i < dim; ++i) {
      p[j] += qkv(row, q_col + i) * qkv(key, k_col + i) / std::sqrt(static_cast<double>(dim));
      dp[j] += dout(row, q_col + i) * qkv(key, k_col + k_cols + i);
    }
    p[j] = std::exp(p[j]);
    sum += p[j];
  }
  double mean = 0.0;
  for (size_t j = 0; j < p.size(); ++j) {
    p[j] /= sum;
    mean += p[j] * dp[j];
  }
  const auto at = [&](int64_t r, int64_t c) { return static_cast<size_t>(r * qkv.cols + c); };
  for (size_t j = 0; j < p.size(); ++j) {
    const int64_t key = first + static_cast<int64_t>(j);
    const double ds = p[j] * (dp[j] - mean) / std::sqrt(static_cast<double>(dim));
    for (int64_t i = 0; i < dim; ++i) {
      result[static_cast<size_t>(row * q_cols + q_col + i)] += p[j] * qkv(key, k_col + k_cols + i);
      gradient[at(row, q_col + i)] += ds * qkv(key, k_col + i);
      gradient[at(key, k_col + i)] += ds * qkv(row, q_col + i);
      gradient[at(key, k_col + k_cols + i)] += p[j] * dout(row, q_col + i);
    }
  }
}

inline double AttentionData::error(bool backward) const {
  std::vector<double> result(static_cast<size_t>(rows * q_cols));
  std::vector<double> gradient(static_cast<size_t>(rows * qkv.cols));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t head = 0; head < size.heads; ++head) {
      reference_row(row, head, result, gradient);
    }
  }
  const std::vector<double>& expected = backward ? gradient : result;
  const Data& ours = backward ? dqkv : out;
  return relative_error(ours, [&](int64_t row, int64_t col) {
    return expected[static_cast<size_t>(row * ours.cols + col)];
  });
}

inline Case attention(const AttentionSize& size, bool backward) {
  auto problem = std::make_shared<AttentionData>(size);
  problem->forward();  // Backward needs its output.
  return {.run = [=] { backward ? problem->backward() : problem->forward(); },
          .error = [=] { return problem->error(backward); }};
}

// Multiplications and additions that the mask leaves: two products forward, five backward.
inline double attention_flops(const AttentionSize& s, bool backward) {
  const double length = s.length;
  const double pairs = s.causal ? length * (length + 1.0) / 2.0 : length * length;
  return pairs * s.samples * s.heads * s.head_dim * 2.0 * (backward ? 5.0 : 2.0);
}

}  // namespace llavasharp::bench
