// A benchmark case: one kernel on one size, that can check itself against a plain double-precision
// reference and be timed.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backend/kernels.h"

namespace llavasharp::bench {

using core::View;

struct Case {
  std::function<void()> run;
  std::function<double()> error;  // Relative error of the result of run(), in the Euclidean norm.
};

struct Entry {
  std::string name;
  double bytes;  // Read and written at least once by a run of `timed`; 0: bound by arithmetic.
  double flops;  // 0: bound by memory.
  double bound;  // On the error.
  std::function<Case()> small;
  std::function<Case()> timed;
  std::string reason;  // Why less than 0.7 of the ceiling is all there is to have, where it is.
};

// A dense matrix of normal numbers that a case owns.
struct Data {
  Data(int64_t row_count, int64_t col_count, uint32_t seed = 1)
      : rows(row_count), cols(col_count), values(static_cast<size_t>(row_count * col_count)) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    for (float& value : values) {
      value = normal(generator);
    }
  }
  [[nodiscard]] View view() { return core::dense(values.data(), rows, cols); }
  [[nodiscard]] double operator()(int64_t row, int64_t col) const {
    return static_cast<double>(values[static_cast<size_t>(row * cols + col)]);
  }
  int64_t rows;
  int64_t cols;
  std::vector<float> values;
};

inline std::shared_ptr<Data> data(int64_t rows, int64_t cols, uint32_t seed = 1) {
  return std::make_shared<Data>(rows, cols, seed);
}

// ‖ours - reference‖ / ‖reference‖.
inline double relative_error(const Data& ours,
                             const std::function<double(int64_t, int64_t)>& reference) {
  double error = 0.0;
  double norm = 0.0;
  for (int64_t row = 0; row < ours.rows; ++row) {
    for (int64_t col = 0; col < ours.cols; ++col) {
      const double expected = reference(row, col);
      error += (ours(row, col) - expected) * (ours(row, col) - expected);
      norm += expected * expected;
    }
  }
  return std::sqrt(error / norm);
}

}  // namespace llavasharp::bench
