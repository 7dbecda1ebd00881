// What scales a product's columns by learned lengths, as weight-decomposed adapters do, and that
// scaling's gradient.
#include <cmath>

#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/gains.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/columns-inl.h"
#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

void ScaleColumns(const View& y, const View& x, const View& factors, bool accumulate) {
  core::parallel_for(y.rows, row_grain(y.cols), [&](int64_t begin, int64_t end) {
    const float* by = factors.f32();
    for (int64_t row = begin; row < end; ++row) {
      const float* in = x.row(row);
      float* out = y.row(row);
      for (int64_t i = 0; i < y.cols; i += LaneCount()) {
        const int64_t n = y.cols - i;
        const auto value = LoadUpTo(in + i, n);
        const auto factor = LoadUpTo(by + i, n);
        StoreUpTo(
            accumulate ? hn::MulAdd(value, factor, LoadUpTo(out + i, n)) : hn::Mul(value, factor),
            out + i, n);
      }
    }
  });
}

void RowDot(const View& y, const View& a, const View& b, float factor, bool accumulate) {
  core::parallel_for(a.rows, row_grain(a.cols), [&](int64_t begin, int64_t end) {
    float* out = y.f32();
    for (int64_t row = begin; row < end; ++row) {
      const float* left = a.row(row);
      const float* right = b.row(row);
      const float sum = SumOver(a.cols, [&](int64_t i, int64_t n) {
        return hn::Mul(LoadUpTo(left + i, n), LoadUpTo(right + i, n));
      });
      out[row] = (accumulate ? out[row] : 0.0F) + factor * sum;
    }
  });
}

void ColumnDot(const View& y, const View& a, const View& b, const View& factors) {
  SumColumns(y.f32(), a.rows, a.cols, [&](int64_t row, int64_t col, int64_t n) {
    const auto product = hn::Mul(LoadUpTo(a.row(row) + col, n), LoadUpTo(b.row(row) + col, n));
    return hn::Mul(product, LoadUpTo(factors.f32() + col, n));
  });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(ScaleColumns);
HWY_EXPORT(RowDot);
HWY_EXPORT(ColumnDot);

void scale_columns(View y, View x, View factors, bool accumulate) {
  require_shape("scale_columns", "y", y, x.rows, x.cols);
  require_shape("scale_columns", "x", x, x.rows, x.cols);
  require_shape("scale_columns", "factors", factors, 1, x.cols);
  HWY_DYNAMIC_DISPATCH(ScaleColumns)(y, x, factors, accumulate);
}

void row_dot(View y, View a, View b, float factor, bool accumulate) {
  require_shape("row_dot", "y", y, 1, a.rows);
  require_shape("row_dot", "a", a, a.rows, a.cols);
  require_shape("row_dot", "b", b, a.rows, a.cols);
  HWY_DYNAMIC_DISPATCH(RowDot)(y, a, b, factor, accumulate);
}

void column_dot(View y, View a, View b, View factors) {
  require_shape("column_dot", "y", y, 1, a.cols);
  require_shape("column_dot", "a", a, a.rows, a.cols);
  require_shape("column_dot", "b", b, a.rows, a.cols);
  require_shape("column_dot", "factors", factors, 1, a.cols);
  HWY_DYNAMIC_DISPATCH(ColumnDot)(y, a, b, factors);
}

void gains(View out, View magnitude, View squares) {
  require_shape("gains", "out", out, 3, magnitude.cols);
  require_shape("gains", "magnitude", magnitude, 1, magnitude.cols);
  require_shape("gains", "squares", squares, 1, magnitude.cols);
  for (int64_t i = 0; i < magnitude.cols; ++i) {
    const float square = squares.f32()[i];
    const float length = square > 0.0F ? std::sqrt(square) : 0.0F;
    const float gain = length > 0.0F ? magnitude.f32()[i] / length : 0.0F;
    out.row(0)[i] = gain;
    out.row(1)[i] = gain - 1.0F;
    out.row(2)[i] = length > 0.0F ? 1.0F / length : 0.0F;
  }
}

}  // namespace llavasharp::backend::cpu
#endif
