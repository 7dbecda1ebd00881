// What the kernel tests share: matrices with a stride, fixed random numbers, and the one tolerance.
#pragma once

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "backend/kernels.h"
#include "core/error.h"

namespace llavasharp::backend::testing {

using core::View;

// A row-major float matrix whose rows are `gap` floats apart; the gaps hold a mark that no kernel
// may change.
class Matrix {
 public:
  static constexpr float kMark = 12345.0F;

  Matrix(int64_t rows, int64_t cols, int64_t gap = 3)
      : rows_(rows),
        cols_(cols),
        stride_(cols + gap),
        values_(static_cast<size_t>(rows * (cols + gap)), kMark) {}

  // Normal numbers, the same on every machine for a seed.
  Matrix& randomise(uint32_t seed, float scale = 1.0F) {
    std::mt19937 generator(seed);
    for (int64_t row = 0; row < rows_; ++row) {
      for (int64_t col = 0; col < cols_; ++col) {
        double sum = -6.0;
        for (int i = 0; i < 12; ++i) {
          sum += static_cast<double>(generator()) / 4294967296.0;
        }
        at(row, col) = scale * static_cast<float>(sum);
      }
    }
    return *this;
  }
  Matrix& set(float value) {
    for (int64_t row = 0; row < rows_; ++row) {
      std::fill_n(values_.data() + row * stride_, cols_, value);
    }
    return *this;
  }
  [[nodiscard]] float& at(int64_t row, int64_t col) {
    return values_[static_cast<size_t>(row * stride_ + col)];
  }
  [[nodiscard]] double operator()(int64_t row, int64_t col) const {
    return static_cast<double>(values_[static_cast<size_t>(row * stride_ + col)]);
  }
  [[nodiscard]] View view() {
    return {values_.data(), rows_, cols_, stride_, core::DType::kFloat32};
  }
  [[nodiscard]] int64_t rows() const { return rows_; }
  [[nodiscard]] int64_t cols() const { return cols_; }
  [[nodiscard]] const std::vector<float>& values() const { return values_; }
  [[nodiscard]] bool gaps_untouched() const {
    for (int64_t row = 0; row < rows_; ++row) {
      for (int64_t i = row * stride_ + cols_; i < (row + 1) * stride_; ++i) {
        if (values_[static_cast<size_t>(i)] != kMark) {
          return false;
        }
      }
    }
    return true;
  }

 private:
  int64_t rows_;
  int64_t cols_;
  int64_t stride_;
  std::vector<float> values_;
};

// The bound on ‖ours - reference‖/‖reference‖ of a float32 result that sums `terms` products:
// k · ε · √terms, as rounding errors add up like a random walk.
inline double tolerance(int64_t terms, double k = 4.0) {
  return k * static_cast<double>(std::numeric_limits<float>::epsilon()) *
         std::sqrt(static_cast<double>(std::max<int64_t>(terms, 1)));
}

using Reference = std::function<double(int64_t row, int64_t col)>;

// Compares in the Euclidean norm, and no element by more than ten times that, relative to the
// largest.
inline void expect_close(const Matrix& ours, const Reference& reference, double bound,
                         const std::string& what) {
  double error = 0.0;
  double norm = 0.0;
  double worst = 0.0;
  double largest = 0.0;
  for (int64_t row = 0; row < ours.rows(); ++row) {
    for (int64_t col = 0; col < ours.cols(); ++col) {
      const double expected = reference(row, col);
      const double difference = std::abs(ours(row, col) - expected);
      error += difference * difference;
      norm += expected * expected;
      // A NaN must not compare as small.
      worst = difference <= worst ? worst : difference;
      largest = std::max(largest, std::abs(expected));
    }
  }
  const double floor = 1e-30;
  EXPECT_LE(std::sqrt(error), bound * std::sqrt(norm) + floor) << what;
  EXPECT_LE(worst, 10.0 * bound * largest + floor) << what;
  EXPECT_TRUE(ours.gaps_untouched()) << what << " wrote outside its columns";
}

// Runs `test` once for every instruction set that the kernels were compiled for and this machine
// has.
inline void on_every_target(const std::function<void()>& test) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    const ::testing::ScopedTrace trace(__FILE__, __LINE__, hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    EXPECT_STREQ(cpu_simd_name(), hwy::TargetName(target));
    test();
  }
  hwy::SetSupportedTargetsForTest(0);
}

// Runs `call` and returns the message of the core::Error it must throw.
inline std::string message_of(llv_status status, const std::function<void()>& call) {
  try {
    call();
  } catch (const core::Error& error) {
    EXPECT_EQ(error.status(), status) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace llavasharp::backend::testing
