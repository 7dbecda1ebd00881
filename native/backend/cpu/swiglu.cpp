// The gated unit of LLaMA's MLP: y = silu(gate) · up.
#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/swiglu.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

void SwigluForward(const View& y, const View& gate_up) {
  const int64_t cols = y.cols;
  core::parallel_for(y.rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* gate = gate_up.row(row);
      const float* up = gate + cols;
      float* out = y.row(row);
      for (int64_t i = 0; i < cols; i += LaneCount()) {
        const int64_t n = cols - i;
        const auto g = LoadUpTo(gate + i, n);
        StoreUpTo(hn::Mul(hn::Mul(g, Sigmoid(g)), LoadUpTo(up + i, n)), out + i, n);
      }
    }
  });
}

// With s = sigmoid(gate):  dgate = dy · up · s (1 + gate (1 - s)),  dup = dy · gate · s.
template <bool kWithOutput>
HWY_INLINE void BackwardRows(const View& dgate_up, const View& y, const View& dy,
                             const View& gate_up) {
  const int64_t cols = dy.cols;
  core::parallel_for(dy.rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    const auto one = Constant(1.0F);
    for (int64_t row = begin; row < end; ++row) {
      const float* gate = gate_up.row(row);
      const float* up = gate + cols;
      const float* dout = dy.row(row);
      float* dgate = dgate_up.row(row);
      float* dup = dgate + cols;
      for (int64_t i = 0; i < cols; i += LaneCount()) {
        const int64_t n = cols - i;
        const auto g = LoadUpTo(gate + i, n);
        Float s;
        Float rest;
        Sigmoid(g, s, rest);
        const auto d = LoadUpTo(dout + i, n);
        const auto slope = hn::Mul(s, hn::MulAdd(g, rest, one));
        const auto u = LoadUpTo(up + i, n);
        const auto silu = hn::Mul(g, s);
        StoreUpTo(hn::Mul(d, silu), dup + i, n);
        StoreUpTo(hn::Mul(hn::Mul(d, u), slope), dgate + i, n);
        if constexpr (kWithOutput) {
          StoreUpTo(hn::Mul(silu, u), y.row(row) + i, n);
        }
      }
    }
  });
}

void SwigluBackward(const View& dgate_up, const View& y, const View& dy, const View& gate_up) {
  if (y.empty()) {
    BackwardRows<false>(dgate_up, y, dy, gate_up);
  } else {
    BackwardRows<true>(dgate_up, y, dy, gate_up);
  }
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(SwigluForward);
HWY_EXPORT(SwigluBackward);

void swiglu_forward(View y, View gate_up) {
  require_shape("swiglu_forward", "y", y, y.rows, y.cols);
  require_shape("swiglu_forward", "gate_up", gate_up, y.rows, 2 * y.cols);
  HWY_DYNAMIC_DISPATCH(SwigluForward)(y, gate_up);
}

void swiglu_backward(View dgate_up, View y, View dy, View gate_up) {
  if (!y.empty()) {
    require_shape("swiglu_backward", "y", y, dy.rows, dy.cols);
  }
  require_shape("swiglu_backward", "dy", dy, dy.rows, dy.cols);
  require_shape("swiglu_backward", "dgate_up", dgate_up, dy.rows, 2 * dy.cols);
  require_shape("swiglu_backward", "gate_up", gate_up, dy.rows, 2 * dy.cols);
  HWY_DYNAMIC_DISPATCH(SwigluBackward)(dgate_up, y, dy, gate_up);
}

}  // namespace llavasharp::backend::cpu
#endif
