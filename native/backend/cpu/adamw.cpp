// AdamW and the gradient norm: single passes over flat buffers, bound by memory.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/adamw.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

constexpr int64_t kParallelElements = 16 * 1024;

// Sums of squares of the chunks begin … end of `chunk` elements each.
void SquareChunks(const float* x, int64_t count, int64_t chunk, double* sums) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(dd));
  const int64_t chunks = (count + chunk - 1) / chunk;
  core::parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      const float* part = x + index * chunk;
      const int64_t length = std::min(chunk, count - index * chunk);
      auto sum0 = hn::Zero(dd);
      auto sum1 = hn::Zero(dd);
      int64_t i = 0;
      for (; i + 2 * lanes <= length; i += 2 * lanes) {
        const auto a = hn::PromoteTo(dd, hn::LoadU(df, part + i));
        const auto b = hn::PromoteTo(dd, hn::LoadU(df, part + i + lanes));
        sum0 = hn::MulAdd(a, a, sum0);
        sum1 = hn::MulAdd(b, b, sum1);
      }
      double sum = hn::GetLane(hn::SumOfLanes(dd, hn::Add(sum0, sum1)));
      for (; i < length; ++i) {
        sum += static_cast<double>(part[i]) * static_cast<double>(part[i]);
      }
      sums[index] = sum;
    }
  });
}

HWY_INLINE Float Rounded(double value) {
  return Constant(static_cast<float>(value));
}

// The order of operations is torch.optim.AdamW's.
void AdamW(float* weight, const float* gradient, float* m, float* v, int64_t count,
           const AdamWStep& step) {
  core::parallel_for(count, kParallelElements, [&](int64_t begin, int64_t end) {
    const auto decay = Rounded(1.0 - step.learning_rate * step.weight_decay);
    const auto lerp = Rounded(1.0 - step.beta1);
    const auto beta2 = Rounded(step.beta2);
    const auto one_less_beta2 = Rounded(1.0 - step.beta2);
    const auto root = Rounded(std::sqrt(step.bias_correction2));
    const auto eps = Rounded(step.eps);
    const auto size = Rounded(step.learning_rate / step.bias_correction1);
    const auto clip = Rounded(step.gradient_scale);
    for (int64_t i = begin; i < end; i += LaneCount()) {
      const int64_t n = end - i;
      const auto g = hn::Mul(LoadUpTo(gradient + i, n), clip);
      const auto old = LoadUpTo(m + i, n);
      const auto first = hn::MulAdd(lerp, hn::Sub(g, old), old);
      const auto second =
          hn::MulAdd(hn::Mul(one_less_beta2, g), g, hn::Mul(LoadUpTo(v + i, n), beta2));
      const auto denominator = hn::Add(hn::Div(hn::Sqrt(second), root), eps);
      const auto kept = hn::Mul(LoadUpTo(weight + i, n), decay);
      StoreUpTo(first, m + i, n);
      StoreUpTo(second, v + i, n);
      StoreUpTo(hn::NegMulAdd(size, hn::Div(first, denominator), kept), weight + i, n);
    }
  });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(SquareChunks);
HWY_EXPORT(AdamW);

double sum_squares(const float* x, int64_t count) {
  constexpr int64_t kChunk = 64 * 1024;
  if (count <= 0) {
    return 0.0;
  }
  thread_local std::vector<double> sums;  // Kept: a steady step allocates nothing.
  sums.resize(static_cast<size_t>((count + kChunk - 1) / kChunk));
  HWY_DYNAMIC_DISPATCH(SquareChunks)(x, count, kChunk, sums.data());
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void adamw(float* weight, float* gradient, float* m, float* v, int64_t count,
           const AdamWStep& step) {
  HWY_DYNAMIC_DISPATCH(AdamW)(weight, gradient, m, v, count, step);
}

}  // namespace llavasharp::backend::cpu
#endif
