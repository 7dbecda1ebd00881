// Sums over rows, a column a lane: bias and norm gradients. Columns are shared out among threads,
// and rows are added in blocks, then blocks to each other, so that the order never depends on the
// thread count and the error grows with the square root of a block, not of all rows.
#if defined(LLAVASHARP_COLUMNS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LLAVASHARP_COLUMNS_INL_H
#undef LLAVASHARP_COLUMNS_INL_H
#else
#define LLAVASHARP_COLUMNS_INL_H
#endif

#include <algorithm>

#include "backend/cpu/checks.h"
#include "backend/cpu/simd-inl.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

// Columns col … col + kVectors·lanes.
template <int kVectors, class Term>
HWY_INLINE void SumStrip(float* out, int64_t rows, int64_t col, int64_t cols, const Term& term) {
  constexpr int64_t kBlockRows = 64;
  const int64_t lanes = LaneCount();
  HWY_ALIGN float total[static_cast<size_t>(kVectors) * hn::MaxLanes(Floats())] = {};
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    Float sum[kVectors];
    for (Float& value : sum) {
      value = Constant(0.0F);
    }
    const int64_t last = std::min(rows, first + kBlockRows);
    for (int64_t row = first; row < last; ++row) {
      for (int64_t v = 0; v < kVectors; ++v) {
        sum[v] = hn::Add(sum[v], term(row, col + v * lanes, std::min(lanes, cols - col)));
      }
    }
    for (int64_t v = 0; v < kVectors; ++v) {
      float* part = total + v * lanes;
      hn::Store(hn::Add(hn::Load(Floats(), part), sum[v]), Floats(), part);
    }
  }
  for (int64_t v = 0; v < kVectors; ++v) {
    const int64_t at = col + v * lanes;
    const Float sum = hn::Load(Floats(), total + v * lanes);
    StoreUpTo(hn::Add(LoadUpTo(out + at, cols - at), sum), out + at, cols - at);
  }
}

// out[col] += sum over rows of term(row, col, n), a vector of which n columns count.
template <class Term>
HWY_INLINE void SumColumns(float* out, int64_t rows, int64_t cols, const Term& term) {
  constexpr int kVectors = 4;
  const int64_t lanes = LaneCount();
  const int64_t width = kVectors * lanes;
  const int64_t strips = (cols + width - 1) / width;
  const int64_t grain = row_grain(width * rows);
  core::parallel_for(strips, grain, [&](int64_t begin, int64_t end) {
    for (int64_t strip = begin; strip < end; ++strip) {
      int64_t col = strip * width;
      if (col + width <= cols) {
        SumStrip<kVectors>(out, rows, col, cols, term);
        continue;
      }
      for (; col < cols; col += lanes) {
        SumStrip<1>(out, rows, col, cols, term);
      }
    }
  });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
