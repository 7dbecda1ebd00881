// Rotary position embedding, with Hugging Face's arithmetic: angles are float32, their sines and
// cosines correctly rounded. All heads of a row share one table row.
#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <span>
#include <vector>

#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/error.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/rope.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

// (a, b) becomes (a cos - b sin, b cos + a sin) for each pair (i, i + half) of a head.
HWY_INLINE void RotateHead(float* head, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; i += LaneCount()) {
    const int64_t n = half - i;
    const auto a = LoadUpTo(head + i, n);
    const auto b = LoadUpTo(head + half + i, n);
    const auto c = LoadUpTo(cos + i, n);
    const auto s = LoadUpTo(sin + i, n);
    StoreUpTo(hn::NegMulAdd(b, s, hn::Mul(a, c)), head + i, n);
    StoreUpTo(hn::MulAdd(a, s, hn::Mul(b, c)), head + half + i, n);
  }
}

// `table` holds cosines, then sines, of a row: [rows, 2, half].
void Rotate(const View& x, const float* table, int32_t heads, int32_t head_dim) {
  const int64_t half = head_dim / 2;
  core::parallel_for(x.rows, row_grain(x.cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* cos = table + row * head_dim;
      for (int64_t head = 0; head < heads; ++head) {
        RotateHead(x.row(row) + head * head_dim, cos, cos + half, half);
      }
    }
  });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(Rotate);

namespace {

// The table of the last call on this thread: a step rotates queries and keys of every layer by the
// same positions.
struct RopeTable {
  std::vector<int32_t> positions;
  std::vector<float> values;  // [positions, 2, head_dim/2]: cosines, then sines.
  std::vector<float> frequencies;
  bool inverse = false;

  [[nodiscard]] bool holds(const int32_t* wanted, int64_t count, std::span<const float> by) const {
    return std::ranges::equal(frequencies, by) &&
           std::equal(positions.begin(), positions.end(), wanted, wanted + count);
  }
};

void build(RopeTable& table, const int32_t* positions, int64_t count,
           std::span<const float> frequencies) {
  const auto half = static_cast<int64_t>(frequencies.size());
  const int64_t head_dim = 2 * half;
  table.frequencies.clear();  // Holds nothing, should memory run out below.
  table.positions.assign(positions, positions + count);
  table.values.resize(static_cast<size_t>(count * head_dim));
  core::parallel_for(count, row_grain(32L * head_dim), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* values = table.values.data() + row * head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const float angle =
            static_cast<float>(positions[row]) * frequencies[static_cast<size_t>(i)];
        values[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
        values[half + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
      }
    }
  });
  table.inverse = false;
  table.frequencies.assign(frequencies.begin(), frequencies.end());
}

}  // namespace

void rope(View x, const int32_t* positions, const float* frequencies, int32_t heads,
          int32_t head_dim, bool inverse) {
  if (heads < 1 || head_dim < 2 || head_dim % 2 != 0) {
    core::fail(LLV_INVALID, "rope: %d heads of %d: the head size must be even", heads, head_dim);
  }
  require_shape("rope", "x", x, x.rows, static_cast<int64_t>(heads) * head_dim);
  thread_local RopeTable table;
  const std::span<const float> wanted(frequencies, static_cast<size_t>(head_dim / 2));
  if (!table.holds(positions, x.rows, wanted)) {
    build(table, positions, x.rows, wanted);
  }
  if (table.inverse != inverse) {  // The inverse rotation has the opposite sines.
    for (int64_t row = 0; row < x.rows; ++row) {
      float* sin = table.values.data() + row * head_dim + head_dim / 2;
      std::transform(sin, sin + head_dim / 2, sin, [](float value) { return -value; });
    }
    table.inverse = inverse;
  }
  HWY_DYNAMIC_DISPATCH(Rotate)(x, table.values.data(), heads, head_dim);
}

}  // namespace llavasharp::backend::cpu
#endif
