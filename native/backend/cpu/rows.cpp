// Elementwise work on whole matrices, bound by memory.
#include <algorithm>
#include <cstring>

#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/rows.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/columns-inl.h"
#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

// y[row] += x[row], or x[0] for every row.
void AddRows(const View& y, const View& x, bool same_row) {
  core::parallel_for(y.rows, row_grain(y.cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* in = same_row ? x.f32() : x.row(row);
      float* out = y.row(row);
      for (int64_t i = 0; i < y.cols; i += LaneCount()) {
        const int64_t n = y.cols - i;
        StoreUpTo(hn::Add(LoadUpTo(out + i, n), LoadUpTo(in + i, n)), out + i, n);
      }
    }
  });
}

void ScaleRows(const View& x, float factor) {
  core::parallel_for(x.rows, row_grain(x.cols), [&](int64_t begin, int64_t end) {
    const auto by = Constant(factor);
    for (int64_t row = begin; row < end; ++row) {
      float* values = x.row(row);
      for (int64_t i = 0; i < x.cols; i += LaneCount()) {
        const int64_t n = x.cols - i;
        StoreUpTo(hn::Mul(LoadUpTo(values + i, n), by), values + i, n);
      }
    }
  });
}

void ColumnSum(const View& dbias, const View& dy) {
  SumColumns(dbias.f32(), dy.rows, dy.cols,
             [&](int64_t row, int64_t col, int64_t n) { return LoadUpTo(dy.row(row) + col, n); });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(AddRows);
HWY_EXPORT(ScaleRows);
HWY_EXPORT(ColumnSum);

void add_bias(View x, View bias) {
  require_shape("add_bias", "x", x, x.rows, x.cols);
  require_shape("add_bias", "bias", bias, 1, x.cols);
  HWY_DYNAMIC_DISPATCH(AddRows)(x, bias, true);
}

void add(View y, View x) {
  require_shape("add", "y", y, x.rows, x.cols);
  require_shape("add", "x", x, x.rows, x.cols);
  HWY_DYNAMIC_DISPATCH(AddRows)(y, x, false);
}

void scale(View x, float factor) {
  require_shape("scale", "x", x, x.rows, x.cols);
  HWY_DYNAMIC_DISPATCH(ScaleRows)(x, factor);
}

void column_sum(View dbias, View dy) {
  require_shape("column_sum", "dbias", dbias, 1, dy.cols);
  require_shape("column_sum", "dy", dy, dy.rows, dy.cols);
  HWY_DYNAMIC_DISPATCH(ColumnSum)(dbias, dy);
}

void copy(View y, View x) {
  require_shape("copy", "y", y, x.rows, x.cols);
  require_shape("copy", "x", x, x.rows, x.cols);
  if (x.empty()) {
    return;
  }
  core::parallel_for(x.rows, row_grain(x.cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::memmove(y.row(row), x.row(row), static_cast<size_t>(x.cols) * sizeof(float));
    }
  });
}

void fill(View x, float value) {
  require_shape("fill", "x", x, x.rows, x.cols);
  if (x.empty()) {
    return;
  }
  core::parallel_for(x.rows, row_grain(x.cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::fill_n(x.row(row), x.cols, value);
    }
  });
}

}  // namespace llavasharp::backend::cpu
#endif
