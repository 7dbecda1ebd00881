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

// With n = (x - mean) r and g = dy·w:  dx += r (g - mean(g) - n mean(g·n)). Mean and r of each row
// go to statistics, for the weight's gradient.
void LayerNormBackward(const View& dx, const View& dy, const View& x, const View& weight, float eps,
                       const View& statistics) {
  const int64_t cols = x.cols;
  const float* w = weight.f32();
  core::parallel_for(x.rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* in = x.row(row);
      const float* dout = dy.row(row);
      float* din = dx.row(row);
      const float count = static_cast<float>(cols);
      const float mean =
          SumOver(cols, [in](int64_t i, int64_t n) { return LoadUpTo(in + i, n); }) / count;
      const auto centre = Constant(mean);
      const float squares = SumOver(cols, [=](int64_t i, int64_t n) {
        const auto used = hn::FirstN(Floats(), static_cast<size_t>(n));
        const auto value = hn::IfThenElseZero(used, hn::Sub(LoadUpTo(in + i, n), centre));
        return hn::Mul(value, value);
      });
      const float r = 1.0F / std::sqrt(squares / count + eps);
      statistics.row(0)[row] = mean;
      statistics.row(1)[row] = r;
      const auto gradient = [=](int64_t i, int64_t n) {
        return hn::Mul(LoadUpTo(dout + i, n), LoadUpTo(w + i, n));
      };
      const float sum = SumOver(cols, gradient);
      // Lanes past the row are 0 in g.
      const float dot = SumOver(cols, [=](int64_t i, int64_t n) {
        return hn::Mul(gradient(i, n), hn::Sub(LoadUpTo(in + i, n), centre));
      });
      const auto scale = Constant(r);
      const auto shift = Constant(sum / count);
      const auto pull = Constant(r * r * dot / count);
      for (int64_t i = 0; i < cols; i += LaneCount()) {
        const int64_t n = cols - i;
        const auto centred = hn::Sub(LoadUpTo(in + i, n), centre);
        const auto value = hn::NegMulAdd(centred, pull, hn::Sub(gradient(i, n), shift));
        StoreUpTo(hn::MulAdd(value, scale, LoadUpTo(din + i, n)), din + i, n);
      }
    }
  });
}

// dw += sum over rows of dy (x - mean) r.
void LayerNormWeightGradient(const View& dweight, const View& dy, const View& x,
                             const View& statistics) {
  const float* means = statistics.row(0);
  const float* inverses = statistics.row(1);
  SumColumns(dweight.f32(), x.rows, x.cols, [&](int64_t row, int64_t col, int64_t n) {
    const auto centred = hn::Sub(LoadUpTo(x.row(row) + col, n), Constant(means[row]));
    return hn::Mul(hn::Mul(LoadUpTo(dy.row(row) + col, n), centred), Constant(inverses[row]));
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
HWY_EXPORT(LayerNormBackward);
HWY_EXPORT(LayerNormWeightGradient);

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

void layer_norm_backward(View dx, View dweight, View dbias, View dy, View x, View weight, float eps,
                         View statistics) {
  require_shape("layer_norm_backward", "dx", dx, x.rows, x.cols);
  require_shape("layer_norm_backward", "dy", dy, x.rows, x.cols);
  require_shape("layer_norm_backward", "x", x, x.rows, x.cols);
  require_shape("layer_norm_backward", "weight", weight, 1, x.cols);
  require_shape("layer_norm_backward", "statistics", statistics, 2, x.rows);
  HWY_DYNAMIC_DISPATCH(LayerNormBackward)(dx, dy, x, weight, eps, statistics);
  if (dweight.data != nullptr) {
    require_shape("layer_norm_backward", "dweight", dweight, 1, x.cols);
    HWY_DYNAMIC_DISPATCH(LayerNormWeightGradient)(dweight, dy, x, statistics);
  }
  if (dbias.data != nullptr) {
    column_sum(dbias, dy);
  }
}

}  // namespace llavasharp::backend::cpu
#endif
