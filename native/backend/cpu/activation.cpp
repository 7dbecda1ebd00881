// Bias and activation in one pass: CLIP's quick GELU, x·sigmoid(1.702x), and the exact GELU,
// x·Φ(x).
#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/error.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/activation.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

struct QuickGelu {
  static HWY_INLINE Float Value(Float x) {
    return hn::Mul(x, Sigmoid(hn::Mul(x, Constant(1.702F))));
  }
  static HWY_INLINE Float Slope(Float x) {
    const auto scaled = hn::Mul(x, Constant(1.702F));
    Float s;
    Float rest;
    Sigmoid(scaled, s, rest);
    return hn::Mul(s, hn::MulAdd(scaled, rest, Constant(1.0F)));
  }
};

struct Gelu {
  static HWY_INLINE Float Value(Float x) {
    Float cdf;
    Float density;
    NormalCdf(x, cdf, density);
    return hn::Mul(x, cdf);
  }
  static HWY_INLINE Float Slope(Float x) {
    Float cdf;
    Float density;
    NormalCdf(x, cdf, density);
    return hn::MulAdd(x, density, cdf);
  }
};

template <class F>
HWY_INLINE void Forward(const View& y, const View& pre, const View& x, const float* bias) {
  const int64_t cols = x.cols;
  core::parallel_for(x.rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* in = x.row(row);
      float* out = y.row(row);
      float* kept = pre.empty() ? nullptr : pre.row(row);
      for (int64_t i = 0; i < cols; i += LaneCount()) {
        const int64_t n = cols - i;
        const auto sum = hn::Add(LoadUpTo(in + i, n), LoadUpTo(bias + i, n));
        if (kept != nullptr) {
          StoreUpTo(sum, kept + i, n);
        }
        StoreUpTo(F::Value(sum), out + i, n);
      }
    }
  });
}

template <class F>
HWY_INLINE void Backward(const View& dx, const View& dy, const View& pre) {
  const int64_t cols = dy.cols;
  core::parallel_for(dy.rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* in = pre.row(row);
      const float* dout = dy.row(row);
      float* din = dx.row(row);
      for (int64_t i = 0; i < cols; i += LaneCount()) {
        const int64_t n = cols - i;
        const auto slope = F::Slope(LoadUpTo(in + i, n));
        StoreUpTo(hn::Mul(LoadUpTo(dout + i, n), slope), din + i, n);
      }
    }
  });
}

void ActivationForward(const View& y, const View& pre, const View& x, const View& bias,
                       Activation activation) {
  if (activation == Activation::kGelu) {
    Forward<Gelu>(y, pre, x, bias.f32());
  } else {
    Forward<QuickGelu>(y, pre, x, bias.f32());
  }
}

void ActivationBackward(const View& dx, const View& dy, const View& pre, Activation activation) {
  if (activation == Activation::kGelu) {
    Backward<Gelu>(dx, dy, pre);
  } else {
    Backward<QuickGelu>(dx, dy, pre);
  }
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(ActivationForward);
HWY_EXPORT(ActivationBackward);

namespace {

void require_known(const char* kernel, Activation activation) {
  if (activation != Activation::kGelu && activation != Activation::kQuickGelu) {
    core::fail(LLV_INVALID, "%s: activation %d is unknown", kernel, static_cast<int>(activation));
  }
}

}  // namespace

void bias_activation_forward(View y, View pre, View x, View bias, Activation activation) {
  require_known("bias_activation_forward", activation);
  require_shape("bias_activation_forward", "y", y, x.rows, x.cols);
  require_shape("bias_activation_forward", "x", x, x.rows, x.cols);
  require_shape("bias_activation_forward", "bias", bias, 1, x.cols);
  if (!pre.empty()) {
    require_shape("bias_activation_forward", "pre", pre, x.rows, x.cols);
  }
  HWY_DYNAMIC_DISPATCH(ActivationForward)(y, pre, x, bias, activation);
}

void activation_backward(View dx, View dy, View pre, Activation activation) {
  require_known("activation_backward", activation);
  require_shape("activation_backward", "dx", dx, dy.rows, dy.cols);
  require_shape("activation_backward", "dy", dy, dy.rows, dy.cols);
  require_shape("activation_backward", "pre", pre, dy.rows, dy.cols);
  HWY_DYNAMIC_DISPATCH(ActivationBackward)(dx, dy, pre, activation);
}

}  // namespace llavasharp::backend::cpu
#endif
