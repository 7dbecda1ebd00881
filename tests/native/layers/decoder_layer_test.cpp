// Halves of a decoder layer alone: the MLP against its definition in double, and attention on a
// selection of rows against attention on all of them, forward and backward.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "core/memory.h"
#include "layers/attention.h"
#include "layers/mlp.h"

namespace llavasharp::layers {
namespace {

// A matrix that owns its values.
struct Matrix {
  Matrix(int64_t rows, int64_t cols, uint32_t seed = 0)
      : values(static_cast<size_t>(rows * cols)), view_rows(rows), view_cols(cols) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 0.5F);
    for (float& value : values) {
      value = seed == 0 ? 0.0F : normal(random);
    }
  }
  [[nodiscard]] View view() { return core::dense(values.data(), view_rows, view_cols); }
  [[nodiscard]] double at(int64_t row, int64_t col) const {
    return values[static_cast<size_t>(row * view_cols + col)];
  }
  std::vector<float> values;
  int64_t view_rows;
  int64_t view_cols;
};

void expect_near(const Matrix& a, const Matrix& b, const char* what) {
  ASSERT_EQ(a.values.size(), b.values.size());
  for (size_t i = 0; i < a.values.size(); ++i) {
    ASSERT_NEAR(a.values[i], b.values[i], 2e-5) << what << " " << i;
  }
}

class DecoderLayer : public testing::Test {
 protected:
  core::Arena arena_{std::make_shared<core::MemoryLedger>()};
  Context context_{.kernels = backend::cpu_kernels(), .arena = arena_};
};

TEST_F(DecoderLayer, MlpFollowsItsDefinition) {
  constexpr int64_t kRows = 5;
  constexpr int64_t kWidth = 12;
  constexpr int64_t kInner = 9;
  constexpr double kEps = 1e-5;
  Matrix x(kRows, kWidth, 1);
  Matrix y(kRows, kWidth);
  Matrix norm(1, kWidth, 2);
  Matrix gate_up(2 * kInner, kWidth, 3);
  Matrix down(kWidth, kInner, 4);
  mlp_forward(context_, kEps, {.norm = norm.view(), .gate_up = gate_up.view(), .down = down.view()},
              y.view(), x.view(), Keep::kNothing, nullptr);
  EXPECT_EQ(arena_.mark(), 0);
  for (int64_t row = 0; row < kRows; ++row) {
    double squares = 0;
    for (int64_t d = 0; d < kWidth; ++d) {
      squares += x.at(row, d) * x.at(row, d);
    }
    const double rms = std::sqrt(squares / kWidth + kEps);
    std::vector<double> inner(kInner);
    for (int64_t i = 0; i < kInner; ++i) {
      double gate = 0;
      double up = 0;
      for (int64_t d = 0; d < kWidth; ++d) {
        const double h = x.at(row, d) / rms * norm.at(0, d);
        gate += gate_up.at(i, d) * h;
        up += gate_up.at(kInner + i, d) * h;
      }
      inner[static_cast<size_t>(i)] = gate / (1 + std::exp(-gate)) * up;
    }
    for (int64_t d = 0; d < kWidth; ++d) {
      double expected = x.at(row, d);
      for (int64_t i = 0; i < kInner; ++i) {
        expected += down.at(d, i) * inner[static_cast<size_t>(i)];
      }
      ASSERT_NEAR(y.at(row, d), expected, 1e-5) << row << " " << d;
    }
  }
}

// Two samples of 4 and 3 tokens, two query heads over one key head of width 6.
class AttentionSelection : public DecoderLayer {
 protected:
  static constexpr int64_t kTokens = 7;
  static constexpr int64_t kWidth = 10;
  const std::vector<int32_t> starts_{0, 4, 7};
  const std::vector<int32_t> counts_{4, 3};
  const std::vector<int32_t> positions_{0, 1, 2, 3, 0, 1, 2};
  const std::vector<int32_t> visible_{1, 2, 3, 4, 1, 2, 3};
  const std::vector<int32_t> rows_{1, 3, 6};
  const std::vector<int32_t> row_starts_{0, 2, 3};
  const std::vector<int32_t> row_positions_{1, 3, 2};
  const std::vector<int32_t> row_visible_{2, 4, 3};
  const std::vector<float> frequencies_{1.0F, 0.1F, 0.01F};
  Packing packing_{.samples = 2,
                   .tokens = kTokens,
                   .starts = starts_.data(),
                   .key_starts = starts_.data(),
                   .key_counts = counts_.data(),
                   .positions = positions_.data(),
                   .visible = visible_.data()};
  Selection selection_{.count = 3,
                       .rows = rows_.data(),
                       .starts = row_starts_.data(),
                       .positions = row_positions_.data(),
                       .visible = row_visible_.data()};
  AttentionConfig config_{.heads = 2,
                          .kv_heads = 1,
                          .head_dim = 6,
                          .norm_eps = 1e-5,
                          .rope_frequencies = frequencies_.data()};
  Matrix x_{kTokens, kWidth, 1};
  Matrix norm_{1, kWidth, 2};
  Matrix qkv_{24, kWidth, 3};
  Matrix out_{kWidth, 12, 4};
  AttentionWeights weights_{.norm = norm_.view(), .qkv = qkv_.view(), .out = out_.view()};

  struct Gradients {
    Matrix norm{1, kWidth}, qkv{24, kWidth}, out{kWidth, 12}, x{kTokens, kWidth};
    AttentionWeights views() { return {.norm = norm.view(), .qkv = qkv.view(), .out = out.view()}; }
  };
};

TEST_F(AttentionSelection, GivesTheRowsOfTheWholeForwardAndBackward) {
  Matrix all(kTokens, kWidth);
  Matrix some(3, kWidth);
  AttentionSaved saved_all;
  AttentionSaved saved_some;
  attention_forward(context_, config_, weights_, packing_, nullptr, nullptr, all.view(), x_.view(),
                    Keep::kForBackward, &saved_all);
  attention_forward(context_, config_, weights_, packing_, &selection_, nullptr, some.view(),
                    x_.view(), Keep::kForBackward, &saved_some);
  Matrix picked(3, kWidth);
  context_.kernels.gather_rows(picked.view(), all.view(), rows_.data());
  expect_near(some, picked, "forward");

  Matrix dsome(3, kWidth, 9);
  Gradients whole;  // The gradient is zero on the rows that are not selected.
  context_.kernels.scatter_rows(whole.x.view(), dsome.view(), rows_.data(), false);
  attention_backward(context_, config_, weights_, whole.views(), packing_, nullptr, whole.x.view(),
                     whole.x.view(), saved_all);
  Gradients part;
  attention_backward(context_, config_, weights_, part.views(), packing_, &selection_,
                     part.x.view(), dsome.view(), saved_some);
  expect_near(part.x, whole.x, "dx");
  expect_near(part.norm, whole.norm, "dnorm");
  expect_near(part.qkv, whole.qkv, "dqkv");
  expect_near(part.out, whole.out, "dout");
}

TEST_F(AttentionSelection, FrozenWeightsGiveTheSameInputGradient) {
  Matrix y(3, kWidth);
  Matrix dy(3, kWidth, 9);
  AttentionSaved saved;
  attention_forward(context_, config_, weights_, packing_, &selection_, nullptr, y.view(),
                    x_.view(), Keep::kForBackward, &saved);
  Gradients trained;
  attention_backward(context_, config_, weights_, trained.views(), packing_, &selection_,
                     trained.x.view(), dy.view(), saved);
  arena_.rewind(0);
  attention_forward(context_, config_, weights_, packing_, &selection_, nullptr, y.view(),
                    x_.view(), Keep::kForBackward, &saved);
  Gradients frozen;
  attention_backward(context_, config_, weights_, {}, packing_, &selection_, frozen.x.view(),
                     dy.view(), saved);
  EXPECT_EQ(frozen.x.values, trained.x.values);
}

}  // namespace
}  // namespace llavasharp::layers
