// Cross entropy and its gradient, and AdamW with its gradient norm.
#include "backend/testing.h"
#include "core/parallel.h"

namespace llavasharp::backend {
namespace {

using testing::expect_close;
using testing::Matrix;
using testing::message_of;
using testing::on_every_target;
using testing::tolerance;

struct LossCase {
  LossCase(int64_t rows, int64_t cols, float scale)
      : logits(rows, cols), kept(rows, cols), loss(static_cast<size_t>(rows)) {
    logits.randomise(1, scale);
    kept.randomise(1, scale);
    for (int64_t row = 0; row < rows; ++row) {
      targets.push_back(static_cast<int32_t>(row * 7919 % cols));
      double most = -1e300;
      for (int64_t col = 0; col < cols; ++col) {
        most = std::max(most, kept(row, col));
      }
      double sum = 0.0;
      for (int64_t col = 0; col < cols; ++col) {
        sum += std::exp(kept(row, col) - most);
      }
      log_sum.push_back(most + std::log(sum));
    }
  }
  [[nodiscard]] double expected_loss(int64_t row) const {
    return log_sum[static_cast<size_t>(row)] - kept(row, targets[static_cast<size_t>(row)]);
  }
  [[nodiscard]] double expected_gradient(int64_t row, int64_t col) const {
    const double softmax = std::exp(kept(row, col) - log_sum[static_cast<size_t>(row)]);
    return softmax - (col == targets[static_cast<size_t>(row)] ? 1.0 : 0.0);
  }
  Matrix logits, kept;
  std::vector<double> loss, log_sum;
  std::vector<int32_t> targets;
};

TEST(CrossEntropy, MatchesDefinition) {
  on_every_target([] {
    for (const int64_t cols : {1, 2, 15, 16, 33, 1000, 32003}) {
      for (const float scale : {0.5F, 20.0F}) {
        LossCase test(5, cols, scale);
        cpu_kernels().cross_entropy(test.logits.view(), test.targets.data(), test.loss.data(),
                                    0.125F, false);
        EXPECT_EQ(test.logits.values(), test.kept.values()) << "no gradient was asked for";
        for (int64_t row = 0; row < 5; ++row) {
          const double expected = test.expected_loss(row);
          EXPECT_NEAR(test.loss[static_cast<size_t>(row)], expected,
                      tolerance(1) * (1.0 + std::abs(expected)));
        }
        const std::vector<double> loss = test.loss;
        cpu_kernels().cross_entropy(test.logits.view(), test.targets.data(), test.loss.data(),
                                    0.125F, true);
        EXPECT_EQ(test.loss, loss);
        if (cols > 1) {
          expect_close(
              test.logits,
              [&](int64_t row, int64_t col) { return 0.125 * test.expected_gradient(row, col); },
              tolerance(16), "dlogits");
        }
      }
    }
  });
}

TEST(CrossEntropy, GradientIsTheDifference) {
  LossCase test(1, 9, 2.0F);
  for (int64_t col = 0; col < 9; ++col) {
    LossCase high(1, 9, 2.0F);
    LossCase low(1, 9, 2.0F);
    high.logits.at(0, col) += 0x1p-6F;
    low.logits.at(0, col) -= 0x1p-6F;
    const double width = high.logits(0, col) - low.logits(0, col);
    for (LossCase* moved : {&high, &low}) {
      cpu_kernels().cross_entropy(moved->logits.view(), moved->targets.data(), moved->loss.data(),
                                  1.0F, false);
    }
    EXPECT_NEAR((high.loss[0] - low.loss[0]) / width, test.expected_gradient(0, col), 1e-4);
  }
}

TEST(CrossEntropy, KeepsNaN) {
  on_every_target([] {
    LossCase test(1, 70, 1.0F);
    test.logits.at(0, 33) = std::numeric_limits<float>::quiet_NaN();
    cpu_kernels().cross_entropy(test.logits.view(), test.targets.data(), test.loss.data(), 1.0F,
                                false);
    EXPECT_TRUE(std::isnan(test.loss[0]));
  });
}

TEST(CrossEntropy, RefusesTargetsOutsideTheVocabulary) {
  LossCase test(3, 9, 1.0F);
  test.targets[2] = 9;
  EXPECT_EQ(message_of(LLV_INVALID,
                       [&] {
                         cpu_kernels().cross_entropy(test.logits.view(), test.targets.data(),
                                                     test.loss.data(), 1.0F, true);
                       }),
            "cross_entropy: target 9 of row 2 is outside the vocabulary of 9");
}

TEST(SumSquares, IsExactToDouble) {
  on_every_target([] {
    for (const int64_t count : {0, 1, 3, 16, 65537, 200003}) {
      Matrix x(1, count + 1);
      x.randomise(4);
      double expected = 0.0;
      for (int64_t i = 0; i < count; ++i) {
        expected += x(0, i) * x(0, i);
      }
      EXPECT_NEAR(cpu_kernels().sum_squares(x.view().f32(), count), expected, 1e-12 * expected);
    }
  });
}

// torch.optim.AdamW in double.
struct AdamReference {
  double weight, m, v;
  void step(double gradient, const AdamWStep& s) {
    const double g = gradient * s.gradient_scale;
    weight *= 1.0 - s.learning_rate * s.weight_decay;
    m = s.beta1 * m + (1.0 - s.beta1) * g;
    v = s.beta2 * v + (1.0 - s.beta2) * g * g;
    const double denominator = std::sqrt(v) / std::sqrt(s.bias_correction2) + s.eps;
    weight -= s.learning_rate / s.bias_correction1 * m / denominator;
  }
};

TEST(AdamW, MatchesDefinitionOverSteps) {
  on_every_target([] {
    for (const int64_t count : {1, 5, 16, 31, 40000}) {
      Matrix weight(1, count, 0);
      Matrix m(1, count, 0);
      Matrix v(1, count, 0);
      Matrix gradient(1, count, 0);
      weight.randomise(1);
      m.set(0.0F);
      v.set(0.0F);
      std::vector<AdamReference> reference;
      reference.reserve(static_cast<size_t>(count));
      for (int64_t i = 0; i < count; ++i) {
        reference.push_back({.weight = weight(0, i), .m = 0.0, .v = 0.0});
      }
      for (int step = 1; step <= 4; ++step) {
        gradient.randomise(static_cast<uint32_t>(10 + step));
        const AdamWStep s{.learning_rate = 1e-3,
                          .beta1 = 0.9,
                          .beta2 = 0.999,
                          .eps = 1e-8,
                          .weight_decay = 0.1,
                          .bias_correction1 = 1.0 - std::pow(0.9, step),
                          .bias_correction2 = 1.0 - std::pow(0.999, step),
                          .gradient_scale = 0.75};
        cpu_kernels().adamw(weight.view().f32(), gradient.view().f32(), m.view().f32(),
                            v.view().f32(), count, s);
        for (int64_t i = 0; i < count; ++i) {
          reference[static_cast<size_t>(i)].step(gradient(0, i), s);
        }
      }
      const auto at = [&](int64_t col) { return reference[static_cast<size_t>(col)]; };
      expect_close(
          weight, [&](int64_t, int64_t col) { return at(col).weight; }, tolerance(4), "weight");
      expect_close(m, [&](int64_t, int64_t col) { return at(col).m; }, tolerance(4), "m");
      expect_close(v, [&](int64_t, int64_t col) { return at(col).v; }, tolerance(4), "v");
    }
  });
}

}  // namespace
}  // namespace llavasharp::backend
