// Activations and SwiGLU over their whole range, and their gradients.
#include "backend/testing.h"

namespace llavasharp::backend {
namespace {

using testing::expect_close;
using testing::Matrix;
using testing::message_of;
using testing::on_every_target;
using testing::tolerance;

double value_of(Activation activation, double x) {
  return activation == Activation::kGelu ? 0.5 * x * std::erfc(-x / std::sqrt(2.0))
                                         : x / (1.0 + std::exp(-1.702 * x));
}

double slope_of(Activation activation, double x) {
  if (activation == Activation::kGelu) {
    return 0.5 * std::erfc(-x / std::sqrt(2.0)) +
           x * std::exp(-0.5 * x * x) / std::sqrt(8.0 * std::atan(1.0));
  }
  const double s = 1.0 / (1.0 + std::exp(-1.702 * x));
  return s * (1.0 + 1.702 * x * (1.0 - s));
}

class ActivationTest : public ::testing::TestWithParam<Activation> {};

TEST_P(ActivationTest, IsAccurateEverywhere) {
  on_every_target([this] {
    const int64_t count = 40001;
    Matrix x(1, count);
    Matrix pre(1, count);
    Matrix y(1, count);
    Matrix dx(1, count);
    Matrix bias(1, count);
    for (int64_t i = 0; i < count; ++i) {
      x.at(0, i) = static_cast<float>(static_cast<double>(i - 20000) / 1000.0);
      bias.at(0, i) = 0.125F;
    }
    Matrix dy(1, count);
    dy.set(1.0F);
    cpu_kernels().bias_activation_forward(y.view(), pre.view(), x.view(), bias.view(), GetParam());
    cpu_kernels().activation_backward(dx.view(), dy.view(), pre.view(), GetParam());
    double worst = 0.0;
    double worst_slope = 0.0;
    for (int64_t i = 0; i < count; ++i) {
      const double at = pre(0, i);
      EXPECT_EQ(pre.at(0, i), x.at(0, i) + bias.at(0, i));
      const double expected = value_of(GetParam(), at);
      worst = std::max(worst, std::abs(y(0, i) - expected) / (1e-3 + std::abs(expected)));
      worst_slope = std::max(worst_slope, std::abs(dx(0, i) - slope_of(GetParam(), at)));
    }
    EXPECT_LE(worst, 2e-6);
    EXPECT_LE(worst_slope, 1e-6);
  });
}

TEST_P(ActivationTest, SlopeIsTheDifference) {
  for (int i = 0; i <= 43; ++i) {
    const double x = -8.0 + 0.37 * i;
    const double step = 1e-5;
    const double difference =
        (value_of(GetParam(), x + step) - value_of(GetParam(), x - step)) / (2.0 * step);
    EXPECT_NEAR(slope_of(GetParam(), x), difference, 1e-8);
  }
}

TEST_P(ActivationTest, WorksInPlaceAndWithoutPre) {
  Matrix x(5, 19);
  Matrix kept(5, 19);
  Matrix bias(1, 19);
  x.randomise(1);
  kept.randomise(1);
  bias.randomise(2);
  cpu_kernels().bias_activation_forward(x.view(), View{}, x.view(), bias.view(), GetParam());
  expect_close(
      x,
      [&](int64_t row, int64_t col) { return value_of(GetParam(), kept(row, col) + bias(0, col)); },
      tolerance(1), "y");
  Matrix dy(5, 19);
  dy.randomise(3);
  Matrix dy_kept(5, 19);
  dy_kept.randomise(3);
  cpu_kernels().activation_backward(dy.view(), dy.view(), kept.view(), GetParam());
  expect_close(
      dy,
      [&](int64_t row, int64_t col) {
        return dy_kept(row, col) * slope_of(GetParam(), kept(row, col));
      },
      tolerance(1), "dx");
}

INSTANTIATE_TEST_SUITE_P(Both, ActivationTest,
                         ::testing::Values(Activation::kGelu, Activation::kQuickGelu),
                         [](const auto& test) {
                           return test.param == Activation::kGelu ? "gelu" : "quick_gelu";
                         });

TEST(Activation, RefusesAnUnknownOne) {
  Matrix x(1, 4);
  EXPECT_EQ(message_of(LLV_INVALID,
                       [&] {
                         cpu_kernels().activation_backward(x.view(), x.view(), x.view(),
                                                           static_cast<Activation>(7));
                       }),
            "activation_backward: activation 7 is unknown");
}

TEST(Swiglu, MatchesDefinitionAndGradient) {
  on_every_target([] {
    for (const int64_t cols : {1, 2, 15, 16, 17, 130, 1001}) {
      const int64_t rows = 11;
      Matrix gate_up(rows, 2 * cols);
      Matrix y(rows, cols);
      Matrix dy(rows, cols);
      gate_up.randomise(1, 4.0F);
      dy.randomise(2);
      Matrix kept(rows, 2 * cols);
      kept.randomise(1, 4.0F);
      cpu_kernels().swiglu_forward(y.view(), gate_up.view());
      const auto sigmoid = [&](int64_t row, int64_t col) {
        return 1.0 / (1.0 + std::exp(-kept(row, col)));
      };
      expect_close(
          y,
          [&](int64_t row, int64_t col) {
            return kept(row, col) * sigmoid(row, col) * kept(row, cols + col);
          },
          tolerance(1), "y");
      Matrix again = dy;
      Matrix apart = kept;
      cpu_kernels().swiglu_backward(apart.view(), {}, dy.view(), apart.view());
      // In place, and y again in its gradient's place: with forward's bits.
      cpu_kernels().swiglu_backward(gate_up.view(), again.view(), again.view(), gate_up.view());
      expect_close(again, [&](int64_t row, int64_t col) { return y(row, col); }, 0, "y again");
      expect_close(apart, [&](int64_t row, int64_t col) { return gate_up(row, col); }, 0, "apart");
      expect_close(
          gate_up,
          [&](int64_t row, int64_t col) {
            const int64_t at = col % cols;
            const double s = sigmoid(row, at);
            const double g = kept(row, at);
            return col < cols ? dy(row, at) * kept(row, cols + at) * s * (1.0 + g * (1.0 - s))
                              : dy(row, at) * g * s;
          },
          tolerance(1), "dgate_up");
    }
  });
}

TEST(Swiglu, StaysFiniteAtTheEnds) {
  Matrix gate_up(1, 8);
  Matrix y(1, 4);
  Matrix dy(1, 4);
  dy.set(1.0F);
  const float gates[] = {-1e4F, -100.0F, 100.0F, 1e4F};
  for (int64_t i = 0; i < 4; ++i) {
    gate_up.at(0, i) = gates[i];
    gate_up.at(0, 4 + i) = 2.0F;
  }
  cpu_kernels().swiglu_forward(y.view(), gate_up.view());
  cpu_kernels().swiglu_backward(gate_up.view(), {}, dy.view(), gate_up.view());
  const double expected[] = {0.0, 0.0, 200.0, 2e4};
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(y(0, i), expected[i], 1e-3);
    EXPECT_NEAR(gate_up(0, i), gates[i] > 0.0F ? 2.0 : 0.0, 1e-4);
  }
}

}  // namespace
}  // namespace llavasharp::backend
