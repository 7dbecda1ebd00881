// Small matrix products on tiles that are in cache: large products and attention are made of them.
// The left operand is read a float at a time, and multiplies whole vectors of the right one, whose
// rows are padded to vectors. Six rows by a panel of vectors is what the registers hold.
#if defined(LLAVASHARP_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LLAVASHARP_TILE_INL_H
#undef LLAVASHARP_TILE_INL_H
#else
#define LLAVASHARP_TILE_INL_H
#endif

#include <algorithm>

#include "core/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::core::HWY_NAMESPACE {

constexpr int64_t kStrip = 6;  // Rows of a product.
// Vectors of a panel: 32 registers hold 6 x 4 sums, 16 hold 6 x 2.
constexpr int kPanel = HWY_TARGET <= HWY_AVX3 ? 4 : 2;

HWY_INLINE int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

enum class Left { kRows, kColumns };

// An operand of a tile product: a matrix in memory, by its first element and row stride. The right
// operand starts on a vector's alignment, and so does each of its rows.
struct Tile {
  float* data;
  int64_t stride;
  HWY_INLINE Tile At(int64_t row, int64_t col) const { return {data + row * stride + col, stride}; }
};

// out[6, kVectors] (+)= a[6, depth] · b[depth, kVectors]; with kColumns, a is stored [depth, 6].
template <int kVectors, Left kLeft>
HWY_INLINE void MultiplyPanel(Tile out, Tile a, Tile b, int64_t depth, bool accumulate) {
  const Floats d;
  const int64_t lanes = LaneCount();
  Float sum[kStrip][kVectors];
  HWY_UNROLL(6)
  for (int row = 0; row < kStrip; ++row) {
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      sum[row][v] =
          accumulate ? hn::LoadU(d, out.data + row * out.stride + v * lanes) : hn::Zero(d);
    }
  }
  const float* left = a.data;
  const float* right = b.data;
  const int64_t left_row = kLeft == Left::kRows ? a.stride : 1;
  const int64_t left_step = kLeft == Left::kRows ? 1 : a.stride;
  for (int64_t step = 0; step < depth; ++step) {
    Float vectors[kVectors];
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      vectors[v] = hn::Load(d, right + v * lanes);
    }
    HWY_UNROLL(6)
    for (int row = 0; row < kStrip; ++row) {
      const Float factor = hn::Set(d, left[row * left_row]);
      HWY_UNROLL(4)
      for (int v = 0; v < kVectors; ++v) {
        sum[row][v] = hn::MulAdd(factor, vectors[v], sum[row][v]);
      }
    }
    left += left_step;
    right += b.stride;
  }
  HWY_UNROLL(6)
  for (int row = 0; row < kStrip; ++row) {
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[row][v], d, out.data + row * out.stride + v * lanes);
    }
  }
}

// out[6, vectors] (+)= a[6, depth] · b[depth, vectors].
template <Left kLeft>
HWY_INLINE void MultiplyStrip(Tile out, Tile a, Tile b, int64_t depth, int64_t vectors,
                              bool accumulate) {
  const int64_t lanes = LaneCount();
  int64_t v = 0;
  for (; v + kPanel <= vectors; v += kPanel) {
    MultiplyPanel<kPanel, kLeft>(out.At(0, v * lanes), a, b.At(0, v * lanes), depth, accumulate);
  }
  switch (vectors - v) {
    case 3:
      MultiplyPanel<3, kLeft>(out.At(0, v * lanes), a, b.At(0, v * lanes), depth, accumulate);
      break;
    case 2:
      MultiplyPanel<2, kLeft>(out.At(0, v * lanes), a, b.At(0, v * lanes), depth, accumulate);
      break;
    case 1:
      MultiplyPanel<1, kLeft>(out.At(0, v * lanes), a, b.At(0, v * lanes), depth, accumulate);
      break;
    default:
      break;
  }
}

// Copies rows of `cols` floats times `scale`, each padded with zeros to the tile's stride, then
// zero rows up to `padded_rows`.
HWY_INLINE void PackRows(Tile to, const float* from, int64_t from_stride, int64_t rows,
                         int64_t cols, int64_t padded_rows, float scale) {
  const Floats d;
  const auto factor = Constant(scale);
  for (int64_t row = 0; row < rows; ++row) {
    const float* in = from + row * from_stride;
    float* out = to.data + row * to.stride;
    for (int64_t col = 0; col < to.stride; col += LaneCount()) {
      const int64_t left = std::max<int64_t>(0, cols - col);
      hn::Store(hn::Mul(LoadUpTo(in + std::min(col, cols), left), factor), d, out + col);
    }
  }
  std::fill(to.data + rows * to.stride, to.data + padded_rows * to.stride, 0.0F);
}

// The opposite: rows times `scale`, without the padding.
HWY_INLINE void UnpackRows(float* to, int64_t to_stride, Tile from, int64_t rows, int64_t cols,
                           float scale) {
  const Floats d;
  const auto factor = Constant(scale);
  for (int64_t row = 0; row < rows; ++row) {
    const float* in = from.data + row * from.stride;
    for (int64_t col = 0; col < cols; col += LaneCount()) {
      StoreUpTo(hn::Mul(hn::Load(d, in + col), factor), to + row * to_stride + col, cols - col);
    }
  }
}

// Four rows of four floats, transposed. Needs vectors of 128 bits, which every target but the
// scalar one has.
HWY_INLINE void TransposeFour(float* to, int64_t to_stride, const float* from,
                              int64_t from_stride) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t i = 0; i < 16; ++i) {
    to[i % 4 * to_stride + i / 4] = from[i / 4 * from_stride + i % 4];
  }
#else
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> pairs;
  const auto a = hn::LoadU(d, from);
  const auto b = hn::LoadU(d, from + from_stride);
  const auto c = hn::LoadU(d, from + 2 * from_stride);
  const auto e = hn::LoadU(d, from + 3 * from_stride);
  const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(d, a, b));
  const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b));
  const auto ce_low = hn::BitCast(pairs, hn::InterleaveLower(d, c, e));
  const auto ce_high = hn::BitCast(pairs, hn::InterleaveUpper(d, c, e));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, ab_low, ce_low)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_low, ce_low)), d, to + to_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, ab_high, ce_high)), d, to + 2 * to_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_high, ce_high)), d, to + 3 * to_stride);
#endif
}

// to[rows, to.stride] = the first `cols` columns of from; its columns past them become 0.
HWY_INLINE void PackColumns(Tile to, const float* from, int64_t from_stride, int64_t rows,
                            int64_t cols) {
  const Floats d;
  const int64_t lanes = LaneCount();
  if (cols == to.stride && cols % lanes == 0) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t col = 0; col < cols; col += lanes) {
        hn::Store(hn::LoadU(d, from + row * from_stride + col), d, to.data + row * to.stride + col);
      }
    }
    return;
  }
  for (int64_t row = 0; row < rows; ++row) {
    const float* in = from + row * from_stride;
    float* out = to.data + row * to.stride;
    std::copy(in, in + cols, out);
    std::fill(out + cols, out + to.stride, 0.0F);
  }
}

// to[cols, to.stride] = from[rows, cols] transposed; its columns past `rows` become 0.
HWY_INLINE void PackTransposed(Tile to, const float* from, int64_t from_stride, int64_t rows,
                               int64_t cols) {
  const int64_t whole_rows = rows / 4 * 4;
  const int64_t whole_cols = cols / 4 * 4;
  for (int64_t row = 0; row < whole_rows; row += 4) {
    for (int64_t col = 0; col < whole_cols; col += 4) {
      TransposeFour(to.data + col * to.stride + row, to.stride, from + row * from_stride + col,
                    from_stride);
    }
    for (int64_t col = whole_cols; col < cols; ++col) {
      for (int64_t i = row; i < row + 4; ++i) {
        to.data[col * to.stride + i] = from[i * from_stride + col];
      }
    }
  }
  for (int64_t col = 0; col < cols; ++col) {
    float* out = to.data + col * to.stride;
    for (int64_t row = whole_rows; row < rows; ++row) {
      out[row] = from[row * from_stride + col];
    }
    std::fill(out + rows, out + to.stride, 0.0F);
  }
}

}  // namespace llavasharp::core::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
