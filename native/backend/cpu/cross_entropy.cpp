// Cross entropy over a vocabulary and its gradient, in place, a row at a time while it is in cache.
#include <cinttypes>
#include <cmath>
#include <limits>

#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/error.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/cross_entropy.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

HWY_INLINE float RowMax(const float* row, int64_t cols) {
  const Floats d;
  const int64_t lanes = LaneCount();
  auto most0 = Constant(-std::numeric_limits<float>::infinity());
  auto most1 = most0;
  int64_t i = 0;
  for (; i + 2 * lanes <= cols; i += 2 * lanes) {
    most0 = hn::Max(most0, hn::LoadU(d, row + i));
    most1 = hn::Max(most1, hn::LoadU(d, row + i + lanes));
  }
  float most = MaxLane(hn::Max(most0, most1));
  for (; i < cols; ++i) {
    most = row[i] > most ? row[i] : most;
  }
  return most;
}

// The sum of e^(x - most), in blocks whose sums are added in double; with `store`, the row becomes
// those exponentials.
HWY_INLINE double ExpRow(float* row, int64_t cols, float most, bool store) {
  constexpr int64_t kBlock = 2048;
  const auto shift = Constant(most);
  double sum = 0.0;
  for (int64_t first = 0; first < cols; first += kBlock) {
    float* part = row + first;
    const int64_t count = cols - first < kBlock ? cols - first : kBlock;
    sum += static_cast<double>(SumOver(count, [=](int64_t i, int64_t n) {
      const auto used = hn::FirstN(Floats(), static_cast<size_t>(n));
      const auto value = hn::IfThenElseZero(used, Exp(hn::Sub(LoadUpTo(part + i, n), shift)));
      if (store) {
        StoreUpTo(value, part + i, n);
      }
      return value;
    }));
  }
  return sum;
}

void CrossEntropy(const View& logits, const int32_t* targets, double* loss, float gradient_scale,
                  bool want_gradient) {
  const int64_t cols = logits.cols;
  core::parallel_for(logits.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      float* row = logits.row(index);
      const float most = RowMax(row, cols);
      const double target = static_cast<double>(row[targets[index]]) - static_cast<double>(most);
      const double sum = ExpRow(row, cols, most, want_gradient);
      loss[index] = std::log(sum) - target;
      if (!want_gradient) {
        continue;
      }
      const auto scale = Constant(static_cast<float>(static_cast<double>(gradient_scale) / sum));
      // The target's softmax - 1 is taken in double: it cancels when the model is sure.
      const double at_target = static_cast<double>(row[targets[index]]) / sum - 1.0;
      for (int64_t i = 0; i < cols; i += LaneCount()) {
        StoreUpTo(hn::Mul(LoadUpTo(row + i, cols - i), scale), row + i, cols - i);
      }
      row[targets[index]] = static_cast<float>(static_cast<double>(gradient_scale) * at_target);
    }
  });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(CrossEntropy);

void cross_entropy(View logits, const int32_t* targets, double* loss, float gradient_scale,
                   bool want_gradient) {
  require_shape("cross_entropy", "logits", logits, logits.rows, logits.cols);
  for (int64_t row = 0; row < logits.rows; ++row) {
    if (targets[row] < 0 || targets[row] >= logits.cols) {
      core::fail(LLV_INVALID,
                 "cross_entropy: target %d of row %" PRId64
                 " is outside the vocabulary of %" PRId64,
                 targets[row], row, logits.cols);
    }
  }
  HWY_DYNAMIC_DISPATCH(CrossEntropy)(logits, targets, loss, gradient_scale, want_gradient);
}

}  // namespace llavasharp::backend::cpu
#endif
