// RMSNorm and LayerNorm against their definitions in double; gradients also against differences.
#include <array>

#include "backend/testing.h"
#include "core/parallel.h"

namespace llavasharp::backend {
namespace {

using testing::expect_close;
using testing::Matrix;
using testing::message_of;
using testing::on_every_target;
using testing::tolerance;

struct Shape {
  int64_t rows, cols;
};
const std::vector<Shape> kShapes{{1, 1},  {2, 2},   {3, 7},    {5, 16},   {4, 17},
                                 {7, 63}, {9, 128}, {130, 65}, {2, 4099}, {200, 768}};
constexpr float kEps = 1e-5F;

double inverse_rms(const Matrix& x, int64_t row) {
  double sum = 0.0;
  for (int64_t col = 0; col < x.cols(); ++col) {
    sum += x(row, col) * x(row, col);
  }
  return 1.0 / std::sqrt(sum / static_cast<double>(x.cols()) + static_cast<double>(kEps));
}

// d(sum of dy·y)/dx of a row.
std::vector<double> rms_gradient(const Matrix& x, const Matrix& w, const Matrix& dy, int64_t row) {
  const double r = inverse_rms(x, row);
  double dot = 0.0;
  for (int64_t i = 0; i < x.cols(); ++i) {
    dot += dy(row, i) * w(0, i) * x(row, i);
  }
  std::vector<double> gradient;
  gradient.reserve(static_cast<size_t>(x.cols()));
  for (int64_t i = 0; i < x.cols(); ++i) {
    gradient.push_back(r * dy(row, i) * w(0, i) -
                       x(row, i) * r * r * r * dot / static_cast<double>(x.cols()));
  }
  return gradient;
}

struct RmsCase {
  explicit RmsCase(Shape shape)
      : x(shape.rows, shape.cols),
        w(1, shape.cols),
        dy(shape.rows, shape.cols),
        y(shape.rows, shape.cols),
        dx(shape.rows, shape.cols),
        dw(1, shape.cols),
        inverse(static_cast<size_t>(shape.rows)) {
    x.randomise(1, 3.0F);
    w.randomise(2);
    dy.randomise(3);
    dx.set(0.5F);
    dw.set(0.25F);
  }
  void run(bool accumulate) {
    cpu_kernels().rms_norm_forward(y.view(), x.view(), w.view(), kEps, inverse.data());
    cpu_kernels().rms_norm_backward(dx.view(), accumulate, dw.view(), dy.view(), x.view(), w.view(),
                                    inverse.data());
  }
  Matrix x, w, dy, y, dx, dw;
  std::vector<float> inverse;
};

void expect_rms(Shape shape, bool accumulate) {
  RmsCase test(shape);
  test.run(accumulate);
  const double bound = tolerance(shape.cols, 2.0);
  std::vector<double> inverse;
  inverse.reserve(static_cast<size_t>(shape.rows));
  for (int64_t row = 0; row < shape.rows; ++row) {
    inverse.push_back(inverse_rms(test.x, row));
  }
  const auto scale = [&](int64_t row) { return inverse[static_cast<size_t>(row)]; };
  expect_close(
      test.y,
      [&](int64_t row, int64_t col) { return test.x(row, col) * scale(row) * test.w(0, col); },
      bound, "y");
  // dx cancels when the row has few elements: its bound is on the terms, not on the difference.
  const double base = accumulate ? 0.5 : 0.0;
  double worst = 0.0;
  for (int64_t row = 0; row < shape.rows; ++row) {
    const std::vector<double> gradient = rms_gradient(test.x, test.w, test.dy, row);
    for (int64_t col = 0; col < shape.cols; ++col) {
      const double expected = base + gradient[static_cast<size_t>(col)];
      const double size = 1.0 + std::abs(scale(row) * test.dy(row, col) * test.w(0, col));
      worst = std::max(worst, std::abs(test.dx(row, col) - expected) / size);
    }
  }
  EXPECT_LE(worst, 4.0 * bound);
  expect_close(
      test.dw,
      [&](int64_t, int64_t col) {
        double sum = 0.25;
        for (int64_t row = 0; row < shape.rows; ++row) {
          sum += test.dy(row, col) * test.x(row, col) * scale(row);
        }
        return sum;
      },
      tolerance(shape.cols + shape.rows), "dweight");
}

TEST(RmsNorm, MatchesDefinition) {
  on_every_target([] {
    for (const Shape shape : kShapes) {
      SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.cols));
      expect_rms(shape, false);
      expect_rms(shape, true);
    }
  });
}

TEST(RmsNorm, ReferenceGradientIsTheDifference) {
  RmsCase test({3, 7});
  const auto loss = [&] {
    double sum = 0.0;
    for (int64_t row = 0; row < 3; ++row) {
      for (int64_t col = 0; col < 7; ++col) {
        sum += test.dy(row, col) * test.x(row, col) * inverse_rms(test.x, row) * test.w(0, col);
      }
    }
    return sum;
  };
  const std::vector<double> gradient = rms_gradient(test.x, test.w, test.dy, 1);
  for (int64_t col = 0; col < 7; ++col) {
    const double expected = gradient[static_cast<size_t>(col)];
    const float kept = test.x.at(1, col);
    test.x.at(1, col) = kept + 0x1p-9F;
    const double above = test.x(1, col);
    const double high = loss();
    test.x.at(1, col) = kept - 0x1p-9F;
    const double below = test.x(1, col);
    const double low = loss();
    test.x.at(1, col) = kept;
    EXPECT_NEAR((high - low) / (above - below), expected, 1e-5);
  }
}

TEST(RmsNorm, SameBytesForAnyThreadCount) {
  RmsCase one({1000, 96});
  RmsCase three({1000, 96});
  const int32_t threads = core::threads();
  core::set_threads(1);
  one.run(true);
  core::set_threads(3);
  three.run(true);
  core::set_threads(threads);
  EXPECT_EQ(one.y.values(), three.y.values());
  EXPECT_EQ(one.dx.values(), three.dx.values());
  EXPECT_EQ(one.dw.values(), three.dw.values());
}

TEST(RmsNorm, NeedsNoWeightGradientAndNoRows) {
  RmsCase test({4, 9});
  cpu_kernels().rms_norm_forward(test.y.view(), test.x.view(), test.w.view(), kEps, nullptr);
  cpu_kernels().rms_norm_forward(test.y.view(), test.x.view(), test.w.view(), kEps,
                                 test.inverse.data());
  cpu_kernels().rms_norm_backward(test.dx.view(), false, View{}, test.dy.view(), test.x.view(),
                                  test.w.view(), test.inverse.data());
  EXPECT_EQ(test.dw(0, 0), 0.25);
  RmsCase empty({0, 9});
  empty.run(false);
  EXPECT_EQ(empty.dw(0, 8), 0.25);
}

TEST(RmsNorm, RefusesWrongShapes) {
  RmsCase test({4, 9});
  EXPECT_EQ(message_of(LLV_SHAPE,
                       [&] {
                         cpu_kernels().rms_norm_forward(test.y.view(), test.x.view(),
                                                        test.w.view().col_range(0, 8), kEps,
                                                        test.inverse.data());
                       }),
            "rms_norm_forward: weight is [1, 8] where [1, 9] is needed");
}

void expect_layer_norm(Shape shape) {
  Matrix x(shape.rows, shape.cols);
  Matrix w(1, shape.cols);
  Matrix b(1, shape.cols);
  Matrix y(shape.rows, shape.cols);
  x.randomise(1, 3.0F);
  w.randomise(2);
  b.randomise(3);
  cpu_kernels().layer_norm_forward(y.view(), x.view(), w.view(), b.view(), kEps);
  const double count = static_cast<double>(shape.cols);
  std::vector<double> means;
  std::vector<double> scales;
  for (int64_t row = 0; row < shape.rows; ++row) {
    double mean = 0.0;
    for (int64_t i = 0; i < shape.cols; ++i) {
      mean += x(row, i) / count;
    }
    double variance = 0.0;
    for (int64_t i = 0; i < shape.cols; ++i) {
      variance += (x(row, i) - mean) * (x(row, i) - mean) / count;
    }
    means.push_back(mean);
    scales.push_back(1.0 / std::sqrt(variance + static_cast<double>(kEps)));
  }
  expect_close(
      y,
      [&](int64_t row, int64_t col) {
        const auto at = static_cast<size_t>(row);
        return (x(row, col) - means[at]) * scales[at] * w(0, col) + b(0, col);
      },
      tolerance(shape.cols), "y");
}

TEST(LayerNorm, MatchesDefinition) {
  on_every_target([] {
    for (const Shape shape : kShapes) {
      SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.cols));
      expect_layer_norm(shape);
    }
  });
}

// Σ dy·y as a function of x, w and b, whose gradients layer_norm_backward adds: against central
// differences in double of the definition.
double layer_norm_sum(Shape shape, const Matrix& x, const Matrix& w, const Matrix& b,
                      const Matrix& dy, const std::array<int64_t, 3>& at, double step) {
  const auto [which, r, c] = at;
  double sum = 0;
  for (int64_t row = 0; row < shape.rows; ++row) {
    const auto value = [&](int64_t i) {
      return x(row, i) + (which == 0 && r == row && c == i ? step : 0.0);
    };
    double mean = 0;
    double variance = 0;
    for (int64_t i = 0; i < shape.cols; ++i) {
      mean += value(i) / static_cast<double>(shape.cols);
    }
    for (int64_t i = 0; i < shape.cols; ++i) {
      variance += (value(i) - mean) * (value(i) - mean) / static_cast<double>(shape.cols);
    }
    for (int64_t i = 0; i < shape.cols; ++i) {
      const double weight = w(0, i) + (which == 1 && c == i ? step : 0.0);
      const double bias = b(0, i) + (which == 2 && c == i ? step : 0.0);
      const double scale = 1 / std::sqrt(variance + static_cast<double>(kEps));
      sum += dy(row, i) * ((value(i) - mean) * scale * weight + bias);
    }
  }
  return sum;
}

TEST(LayerNorm, BackwardMatchesDifferences) {
  on_every_target([] {
    for (const Shape shape : {Shape{3, 7}, Shape{5, 33}, Shape{2, 64}}) {
      SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.cols));
      Matrix x(shape.rows, shape.cols);
      Matrix dy(shape.rows, shape.cols);
      Matrix dx(shape.rows, shape.cols);
      Matrix statistics(2, shape.rows);
      Matrix w(1, shape.cols);
      Matrix b(1, shape.cols);
      Matrix dw(1, shape.cols);
      Matrix db(1, shape.cols);
      x.randomise(1, 3.0F);
      w.randomise(2);
      b.randomise(3);
      dy.randomise(4);
      for (Matrix* gradient : {&dx, &dw, &db}) {
        cpu_kernels().fill(gradient->view(), 0.25F);  // What is there already is added to.
      }
      cpu_kernels().layer_norm_backward(dx.view(), dw.view(), db.view(), dy.view(), x.view(),
                                        w.view(), kEps, statistics.view());
      const auto slope = [&](int64_t which, int64_t row, int64_t col) {
        const auto sum = [&](double step) {
          return layer_norm_sum(shape, x, w, b, dy, {which, row, col}, step);
        };
        return 0.25 + (sum(1e-5) - sum(-1e-5)) / 2e-5;
      };
      for (int64_t col = 0; col < shape.cols; ++col) {
        for (int64_t row = 0; row < shape.rows; ++row) {
          EXPECT_NEAR(dx(row, col), slope(0, row, col), 2e-5);
        }
        EXPECT_NEAR(dw(0, col), slope(1, 0, col), 2e-5);
        EXPECT_NEAR(db(0, col), slope(2, 0, col), 2e-5);
      }
    }
  });
}

}  // namespace
}  // namespace llavasharp::backend
