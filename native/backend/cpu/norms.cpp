// RMSNorm and LayerNorm. A row is read from memory once: it stays in cache for its second pass.
#include <cmath>

#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/norms.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/columns-inl.h"
#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

void RmsNormForward(const View& y, const View& x, const View& weight, float eps,
                    float* inverse_rms) {
  const int64_t cols = x.cols;
  const float* w = weight.f32();
  core::parallel_for(x.rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* in = x.row(row);
      float* out = y.row(row);
      const float squares = SumOver(cols, [in](int64_t i, int64_t n) {
        const auto value = LoadUpTo(in + i, n);
        return hn::Mul(value, value);
      });
      const float inverse = 1.0F / std::sqrt(squares / static_cast<float>(cols) + eps);
      if (inverse_rms != nullptr) {
        inverse_rms[row] = inverse;
      }
      const auto scale = Constant(inverse);
      for (int64_t i = 0; i < cols; i += LaneCount()) {
        const auto normal = hn::Mul(LoadUpTo(in + i, cols - i), scale);
        StoreUpTo(hn::Mul(normal, LoadUpTo(w + i, cols - i)), out + i, cols - i);
      }
    }
  });
}

// With r = 1/rms and g = dy·w:  dx = r g - x r³ mean(g·x).
void RmsNormBackward(const View& dx, bool accumulate, const View& dy, const View& x,
                     const View& weight, const float* inverse_rms) {
  const int64_t cols = x.cols;
  const float* w = weight.f32();
  core::parallel_for(x.rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* in = x.row(row);
      const float* dout = dy.row(row);
      float* din = dx.row(row);
      const float dot = SumOver(cols, [=](int64_t i, int64_t n) {
        return hn::Mul(hn::Mul(LoadUpTo(dout + i, n), LoadUpTo(w + i, n)), LoadUpTo(in + i, n));
      });
      const float r = inverse_rms[row];
      const auto scale = Constant(r);
      const auto pull = Constant(r * r * r * dot / static_cast<float>(cols));
      for (int64_t i = 0; i < cols; i += LaneCount()) {
        const int64_t n = cols - i;
        const auto g = hn::Mul(LoadUpTo(dout + i, n), LoadUpTo(w + i, n));
        auto value = hn::NegMulAdd(LoadUpTo(in + i, n), pull, hn::Mul(g, scale));
        if (accumulate) {
          value = hn::Add(value, LoadUpTo(din + i, n));
        }
        StoreUpTo(value, din + i, n);
      }
    }
  });
}

// dw += sum over rows of dy·x·r.
void RmsNormWeightGradient(const View& dweight, const View& dy, const View& x,
                           const float* inverse_rms) {
  SumColumns(dweight.f32(), x.rows, x.cols, [&](int64_t row, int64_t col, int64_t n) {
    const auto product = hn::Mul(LoadUpTo(dy.row(row) + col, n), LoadUpTo(x.row(row) + col, n));
    return hn::Mul(product, Constant(inverse_rms[row]));
  });
}

void LayerNormForward(const View& y, const View& x, const View& weight, const View& bias,
                      float eps) {
  const int64_t cols = x.cols;
  const float* w = weight.f32();
  const float* b = bias.f32();
  core::parallel_for(x.rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* in = x.row(row);
      float* out = y.row(row);
      const float count = static_cast<float>(cols);
      const float mean =
          SumOver(cols, [in](int64_t i, int64_t n) { return LoadUpTo(in + i, n); }) / count;
      const auto centre = Constant(mean);
      const float squares = SumOver(cols, [=](int64_t i, int64_t n) {
        // Lanes past the row would hold -mean.
        const auto used = hn::FirstN(Floats(), static_cast<size_t>(n));
        const auto value = hn::IfThenElseZero(used, hn::Sub(LoadUpTo(in + i, n), centre));
        return hn::Mul(value, value);
      });
      const auto scale = Constant(1.0F / std::sqrt(squares / count + eps));
      for (int64_t i = 0; i < cols; i += LaneCount()) {
        const int64_t n = cols - i;
        const auto normal = hn::Mul(hn::Sub(LoadUpTo(in + i, n), centre), scale);
        StoreUpTo(hn::MulAdd(normal, LoadUpTo(w + i, n), LoadUpTo(b + i, n)), out + i, n);
      }
    }
  });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(RmsNormForward);
HWY_EXPORT(RmsNormBackward);
HWY_EXPORT(RmsNormWeightGradient);
HWY_EXPORT(LayerNormForward);

void rms_norm_forward(View y, View x, View weight, float eps, float* inverse_rms) {
  require_shape("rms_norm_forward", "y", y, x.rows, x.cols);
  require_shape("rms_norm_forward", "x", x, x.rows, x.cols);
  require_shape("rms_norm_forward", "weight", weight, 1, x.cols);
  HWY_DYNAMIC_DISPATCH(RmsNormForward)(y, x, weight, eps, inverse_rms);
}

void rms_norm_backward(View dx, bool accumulate_dx, View dweight, View dy, View x, View weight,
                       const float* inverse_rms) {
  require_shape("rms_norm_backward", "dx", dx, x.rows, x.cols);
  require_shape("rms_norm_backward", "dy", dy, x.rows, x.cols);
  require_shape("rms_norm_backward", "x", x, x.rows, x.cols);
  require_shape("rms_norm_backward", "weight", weight, 1, x.cols);
  if (dweight.data != nullptr) {  // First: dx may be dy's memory.
    require_shape("rms_norm_backward", "dweight", dweight, 1, x.cols);
    HWY_DYNAMIC_DISPATCH(RmsNormWeightGradient)(dweight, dy, x, inverse_rms);
  }
  HWY_DYNAMIC_DISPATCH(RmsNormBackward)(dx, accumulate_dx, dy, x, weight, inverse_rms);
}

void layer_norm_forward(View y, View x, View weight, View bias, float eps) {
  require_shape("layer_norm_forward", "y", y, x.rows, x.cols);
  require_shape("layer_norm_forward", "x", x, x.rows, x.cols);
  require_shape("layer_norm_forward", "weight", weight, 1, x.cols);
  require_shape("layer_norm_forward", "bias", bias, 1, x.cols);
  HWY_DYNAMIC_DISPATCH(LayerNormForward)(y, x, weight, bias, eps);
}

}  // namespace llavasharp::backend::cpu
#endif
