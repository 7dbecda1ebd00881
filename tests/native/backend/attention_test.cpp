// Attention against its definition in double precision, forward and backward.
#include <numeric>
#include <tuple>

#include "backend/testing.h"
#include "core/parallel.h"

namespace llavasharp::backend {
namespace {

using testing::expect_close;
using testing::Matrix;
using testing::message_of;
using testing::on_every_target;
using testing::tolerance;

struct Case {
  std::string name;
  int32_t heads, kv_heads, head_dim;
  std::vector<int32_t> queries;  // A sample.
  std::vector<int32_t> keys;     // A sample; empty: as many as queries.
  bool causal;
};

void PrintTo(const Case& value, std::ostream* out) {
  *out << value.name;
}

// The operands of a case, query, key and value side by side in one matrix as a fused projection
// makes them, and the results in double.
struct Problem {
  explicit Problem(const Case& test);

  void reference();
  [[nodiscard]] AttentionShape shape() const {
    return {.samples = static_cast<int64_t>(test.queries.size()),
            .q_start = q_start.data(),
            .k_start = k_start.data(),
            .k_count = k_count.data(),
            .q_visible = test.causal ? visible.data() : nullptr,
            .heads = test.heads,
            .kv_heads = test.kv_heads,
            .head_dim = test.head_dim,
            .scale = scale};
  }

  Case test;
  std::vector<int32_t> q_start{0}, k_start, k_count, visible;
  int64_t q_rows = 0, k_rows = 0, q_cols, k_cols;
  float scale;
  Matrix q, kv, dout;
  std::vector<double> out, lse, dq, dk, dv;

 private:
  void reference_row(int64_t sample, int64_t row, int64_t head);
};

Problem::Problem(const Case& value)
    : test(value),
      q_cols(int64_t{value.heads} * value.head_dim),
      k_cols(int64_t{value.kv_heads} * value.head_dim),
      scale(1.0F / std::sqrt(static_cast<float>(value.head_dim))),
      q(0, 0),
      kv(0, 0),
      dout(0, 0) {
  if (test.keys.empty()) {
    test.keys = test.queries;
  }
  for (size_t sample = 0; sample < test.queries.size(); ++sample) {
    for (int32_t i = 0; i < test.queries[sample]; ++i) {
      visible.push_back(test.keys[sample] - test.queries[sample] + i + 1);
    }
    q_rows += test.queries[sample];
    q_start.push_back(static_cast<int32_t>(q_rows));
    k_start.push_back(static_cast<int32_t>(k_rows));
    k_count.push_back(test.keys[sample]);
    k_rows += test.keys[sample];
  }
  q = Matrix(q_rows, q_cols).randomise(1);
  kv = Matrix(k_rows, 2 * k_cols).randomise(2);
  dout = Matrix(q_rows, q_cols).randomise(3);
}

void Problem::reference_row(int64_t sample, int64_t row, int64_t head) {
  const int64_t dim = test.head_dim;
  const int64_t kv_col = head / (test.heads / test.kv_heads) * dim;
  const int64_t first = k_start[static_cast<size_t>(sample)];
  const int64_t seen =
      test.causal ? visible[static_cast<size_t>(row)] : k_count[static_cast<size_t>(sample)];
  std::vector<double> p(static_cast<size_t>(seen));
  std::vector<double> dp(p.size());
  double most = -1e300;
  for (int64_t j = 0; j < seen; ++j) {
    double score = 0.0;
    for (int64_t i = 0; i < dim; ++i) {
      score += q(row, head * dim + i) * kv(first + j, kv_col + i);
      dp[static_cast<size_t>(j)] += dout(row, head * dim + i) * kv(first + j, k_cols + kv_col + i);
    }
    p[static_cast<size_t>(j)] = static_cast<double>(scale) * score;
    most = std::max(most, p[static_cast<size_t>(j)]);
  }
  double sum = 0.0;
  for (double& value : p) {
    value = std::exp(value - most);
    sum += value;
  }
  lse[static_cast<size_t>(row * test.heads + head)] = most + std::log(sum);
  double mean = 0.0;
  for (size_t j = 0; j < p.size(); ++j) {
    p[j] /= sum;
    mean += p[j] * dp[j];
  }
  for (int64_t j = 0; j < seen; ++j) {
    const double weight = p[static_cast<size_t>(j)];
    const double ds = static_cast<double>(scale) * weight * (dp[static_cast<size_t>(j)] - mean);
    for (int64_t i = 0; i < dim; ++i) {
      const auto at_q = static_cast<size_t>(row * q_cols + head * dim + i);
      const auto at_k = static_cast<size_t>((first + j) * k_cols + kv_col + i);
      out[at_q] += weight * kv(first + j, k_cols + kv_col + i);
      dq[at_q] += ds * kv(first + j, kv_col + i);
      dk[at_k] += ds * q(row, head * dim + i);
      dv[at_k] += weight * dout(row, head * dim + i);
    }
  }
}

void Problem::reference() {
  out.assign(static_cast<size_t>(q_rows * q_cols), 0.0);
  dq = out;
  lse.assign(static_cast<size_t>(q_rows * test.heads), 0.0);
  dk.assign(static_cast<size_t>(k_rows * k_cols), 0.0);
  dv = dk;
  for (int64_t sample = 0; sample < static_cast<int64_t>(test.queries.size()); ++sample) {
    for (int64_t row = q_start[static_cast<size_t>(sample)];
         row < q_start[static_cast<size_t>(sample) + 1]; ++row) {
      for (int64_t head = 0; head < test.heads; ++head) {
        reference_row(sample, row, head);
      }
    }
  }
}

struct Results {
  explicit Results(Problem& problem)
      : out(problem.q_rows, problem.q_cols),
        lse(problem.q_rows, problem.test.heads),
        dq(problem.q_rows, problem.q_cols),
        dkv(problem.k_rows, 2 * problem.k_cols) {
    const Kernels& kernels = cpu_kernels();
    const View k = problem.kv.view().col_range(0, problem.k_cols);
    const View v = problem.kv.view().col_range(problem.k_cols, problem.k_cols);
    kernels.attention_forward(out.view(), lse.view(), problem.q.view(), k, v, problem.shape());
    kernels.attention_backward(dq.view(), dkv.view().col_range(0, problem.k_cols),
                               dkv.view().col_range(problem.k_cols, problem.k_cols),
                               problem.dout.view(), out.view(), lse.view(), problem.q.view(), k, v,
                               problem.shape());
  }
  Matrix out, lse, dq, dkv;
};

class AttentionTest : public ::testing::TestWithParam<Case> {};

void expect_reference(Problem& problem) {
  const Results results(problem);
  const auto from = [](const std::vector<double>& values, int64_t cols) {
    return [&values, cols](int64_t row, int64_t col) {
      return values[static_cast<size_t>(row * cols + col)];
    };
  };
  int64_t longest = 1;
  for (const int32_t keys : problem.test.keys) {
    longest = std::max<int64_t>(longest, keys);
  }
  const double bound = tolerance(problem.test.head_dim + longest, 1.0);
  expect_close(results.out, from(problem.out, problem.q_cols), bound, "out");
  expect_close(results.lse, from(problem.lse, problem.test.heads), bound, "log_sum_exp");
  expect_close(results.dq, from(problem.dq, problem.q_cols), 4.0 * bound, "dq");
  const auto dkv = [&](int64_t row, int64_t col) {
    const bool value = col >= problem.k_cols;
    return (value ? problem.dv : problem.dk)[static_cast<size_t>(row * problem.k_cols + col -
                                                                 (value ? problem.k_cols : 0))];
  };
  expect_close(results.dkv, dkv, 4.0 * bound, "dk, dv");
}

TEST_P(AttentionTest, MatchesDefinition) {
  Problem problem(GetParam());
  problem.reference();
  on_every_target([&] { expect_reference(problem); });
}

TEST_P(AttentionTest, SameBytesForAnyThreadCount) {
  Problem problem(GetParam());
  const int32_t threads = core::threads();
  core::set_threads(1);
  Results one(problem);
  core::set_threads(3);
  Results three(problem);
  core::set_threads(threads);
  EXPECT_EQ(one.out.values(), three.out.values());
  EXPECT_EQ(one.lse.values(), three.lse.values());
  EXPECT_EQ(one.dq.values(), three.dq.values());
  EXPECT_EQ(one.dkv.values(), three.dkv.values());
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, AttentionTest,
    ::testing::Values(Case{"one", 1, 1, 2, {1}, {}, true},
                      Case{"one_of_many_sizes", 2, 2, 64, {1, 2, 5, 6, 7}, {}, true},
                      Case{"dim_12", 3, 3, 12, {17, 1, 50}, {}, true},
                      Case{"dim_20_grouped", 4, 2, 20, {49, 97}, {}, true},
                      Case{"dim_40", 2, 1, 40, {95, 96, 13}, {}, true},
                      Case{"dim_64", 2, 2, 64, {129, 193}, {}, true},
                      Case{"dim_128_grouped", 4, 1, 128, {65, 30}, {}, true},
                      Case{"dim_18", 2, 2, 18, {33}, {}, true},
                      Case{"demo", 4, 4, 32, {80, 61, 77}, {}, true},
                      Case{"long", 1, 1, 64, {700}, {}, true},
                      Case{"vision", 2, 2, 64, {257, 257}, {}, false},
                      Case{"vision_small", 4, 4, 16, {17, 17, 17}, {}, false},
                      Case{"last_queries", 2, 2, 32, {3, 1, 50}, {200, 1, 131}, true},
                      Case{"no_queries", 2, 2, 32, {0, 4}, {9, 4}, true},
                      Case{"one_query", 8, 2, 64, {1, 1}, {301, 12}, true}),
    [](const auto& test) { return test.param.name; });

// Gradients of the loss sum(out · dout) by central differences of the reference: the reference's
// own backward is right.
TEST(Attention, ReferenceGradientIsTheLossGradient) {
  Problem problem({"differences", 2, 1, 4, {5}, {}, true});
  problem.reference();
  const std::vector<double> dq = problem.dq;
  const auto loss = [&problem] {
    problem.reference();
    double sum = 0.0;
    for (int64_t row = 0; row < problem.q_rows; ++row) {
      for (int64_t col = 0; col < problem.q_cols; ++col) {
        sum +=
            problem.out[static_cast<size_t>(row * problem.q_cols + col)] * problem.dout(row, col);
      }
    }
    return sum;
  };
  for (int64_t row = 0; row < problem.q_rows; ++row) {
    for (int64_t col = 0; col < problem.q_cols; ++col) {
      float& value = problem.q.at(row, col);
      const float kept = value;
      const float step = 1.0F / 1024.0F;
      value = kept + step;
      const double above = value;
      const double high = loss();
      value = kept - step;
      const double below = value;
      const double low = loss();
      value = kept;
      EXPECT_NEAR((high - low) / (above - below),
                  dq[static_cast<size_t>(row * problem.q_cols + col)], 1e-6);
    }
  }
}

// Large scores must neither overflow nor lose the sum's one term.
TEST(Attention, SurvivesLargeScores) {
  Problem problem({"large", 1, 1, 8, {40}, {}, true});
  problem.q.randomise(4, 60.0F);
  problem.kv.randomise(5, 60.0F);
  problem.reference();
  Results results(problem);
  for (int64_t row = 0; row < problem.q_rows; ++row) {
    EXPECT_TRUE(std::isfinite(results.out(row, 0))) << row;
    EXPECT_TRUE(std::isfinite(results.dq(row, 0))) << row;
    EXPECT_NEAR(results.lse(row, 0), problem.lse[static_cast<size_t>(row)],
                2e-6 * std::abs(problem.lse[static_cast<size_t>(row)]));
  }
}

TEST(Attention, KeepsNaN) {
  on_every_target([] {
    Problem problem({"nan", 1, 1, 8, {40}, {}, true});
    problem.kv.at(20, 3) = std::numeric_limits<float>::quiet_NaN();
    const Results results(problem);
    EXPECT_TRUE(std::isfinite(results.out(19, 0)));
    EXPECT_TRUE(std::isnan(results.out(20, 0)));
    EXPECT_TRUE(std::isnan(results.dq(39, 0)));
  });
}

TEST(Attention, WorksWithoutLogSumExp) {
  Problem problem({"plain", 2, 2, 16, {10}, {}, true});
  problem.reference();
  Matrix out(problem.q_rows, problem.q_cols);
  cpu_kernels().attention_forward(
      out.view(), View{}, problem.q.view(), problem.kv.view().col_range(0, problem.k_cols),
      problem.kv.view().col_range(problem.k_cols, problem.k_cols), problem.shape());
  expect_close(
      out,
      [&](int64_t row, int64_t col) {
        return problem.out[static_cast<size_t>(row * problem.q_cols + col)];
      },
      tolerance(26), "out");
}

TEST(Attention, RefusesHostileShapes) {
  Problem problem({"hostile", 2, 2, 16, {4, 6}, {}, true});
  Matrix out(problem.q_rows, problem.q_cols);
  const auto run = [&](const AttentionShape& shape) {
    cpu_kernels().attention_forward(
        out.view(), View{}, problem.q.view(), problem.kv.view().col_range(0, problem.k_cols),
        problem.kv.view().col_range(problem.k_cols, problem.k_cols), shape);
  };
  problem.visible[7] = 9;
  EXPECT_EQ(message_of(LLV_INVALID, [&] { run(problem.shape()); }),
            "attention_forward: query 7 of sample 1 sees 9 keys, after 3, of 6");
  problem.visible[7] = 1;
  EXPECT_EQ(message_of(LLV_INVALID, [&] { run(problem.shape()); }),
            "attention_forward: query 7 of sample 1 sees 1 keys, after 3, of 6");
  problem.visible[7] = 4;
  problem.k_count[1] = 7;
  EXPECT_EQ(message_of(LLV_INVALID, [&] { run(problem.shape()); }),
            "attention_forward: sample 1 has keys 4 to 11 of 10");
  problem.q_start[2] = 11;
  EXPECT_EQ(message_of(LLV_INVALID, [&] { run(problem.shape()); }),
            "attention_forward: sample 1 has queries 4 to 11 of 10");
  AttentionShape shape = problem.shape();
  shape.kv_heads = 3;
  EXPECT_EQ(message_of(LLV_INVALID, [&] { run(shape); }),
            "attention_forward: 2 heads, 3 key heads, head size 16");
  shape.kv_heads = 1;
  EXPECT_EQ(message_of(LLV_SHAPE, [&] { run(shape); }),
            "attention_forward: k is [10, 32] where [10, 16] is needed");
}

}  // namespace
}  // namespace llavasharp::backend
