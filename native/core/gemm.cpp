// Both operands are first packed, in parallel, into the order in which the tile product reads them:
// the left one in strips of six rows, the right one in panels of four vectors, both along k. Chunks
// of each are small enough to stay in the shared cache between packing and use. Then threads take
// blocks of the output.
#include "core/gemm.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/gemm.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "core/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::core::HWY_NAMESPACE {

constexpr int64_t kChunkFloats = 1024 * 1024;  // Of a packed operand.
constexpr int64_t kDepth = 768;                // Of k: a panel this deep stays in the second cache.
constexpr int64_t kBlockStrips = 8;            // An output block of a task, in strips by panels.
constexpr int64_t kBlockPanels = 8;

HWY_INLINE int64_t PanelWidth() {
  return kPanel * LaneCount();
}

// Packs `count` rows of width `width` of the operand, from `first` on, as [count/width][k][width].
// Along k or across it: `rows_are_k` says which way the operand is stored.
HWY_INLINE void PackOperand(float* to, const View& from, bool rows_are_k, int64_t first,
                            int64_t count, int64_t width) {
  const int64_t k = rows_are_k ? from.rows : from.cols;
  const int64_t parts = (count + width - 1) / width;
  core::parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const Tile tile{to + part * width * k, width};
      const int64_t at = first + part * width;
      const int64_t used = std::min(width, first + count - at);
      if (rows_are_k) {
        PackColumns(tile, from.f32() + at, from.stride, k, used);
      } else {
        PackTransposed(tile, from.row(at), from.stride, used, k);
      }
    }
  });
}

// A chunk of the output and its packed operands.
struct Chunk {
  View out;
  const float* left;   // [strips][k][6]
  const float* right;  // [panels][k][width]
  int64_t k;
  bool accumulate;
};

// Six rows by one panel, at the output's edge: through a buffer, so that nothing past it is
// touched.
HWY_INLINE void EdgeTile(const Chunk& chunk, int64_t row, int64_t col, Tile left, Tile right,
                         int64_t depth, bool accumulate) {
  HWY_ALIGN float buffer[kStrip * kPanel * hn::MaxLanes(Floats())];
  const int64_t width = PanelWidth();
  const int64_t rows = std::min(kStrip, chunk.out.rows - row);
  const int64_t cols = std::min(width, chunk.out.cols - col);
  const int64_t vectors = RoundUp(cols, LaneCount()) / LaneCount();
  MultiplyStrip<Left::kColumns>({buffer, width}, left, right, depth, vectors, false);
  for (int64_t i = 0; i < rows; ++i) {
    float* out = chunk.out.row(row + i) + col;
    for (int64_t at = 0; at < cols; at += LaneCount()) {
      auto sum = hn::Load(Floats(), buffer + i * width + at);
      if (accumulate) {
        sum = hn::Add(LoadUpTo(out + at, cols - at), sum);
      }
      StoreUpTo(sum, out + at, cols - at);
    }
  }
}

// The output block of strips and panels from `strip` and `panel` on.
HWY_INLINE void MultiplyBlock(const Chunk& chunk, int64_t strip, int64_t panel) {
  const int64_t width = PanelWidth();
  const int64_t last_row = std::min(chunk.out.rows, (strip + kBlockStrips) * kStrip);
  const int64_t last_col = std::min(chunk.out.cols, (panel + kBlockPanels) * width);
  for (int64_t col = panel * width; col < last_col; col += width) {
    for (int64_t step = 0; step < chunk.k; step += kDepth) {
      const int64_t depth = std::min(kDepth, chunk.k - step);
      const bool accumulate = chunk.accumulate || step > 0;
      // The tile product only reads its operands.
      const Tile right{const_cast<float*>(chunk.right) + col * chunk.k + step * width, width};
      for (int64_t row = strip * kStrip; row < last_row; row += kStrip) {
        const Tile left{const_cast<float*>(chunk.left) + row * chunk.k + step * kStrip, kStrip};
        if (row + kStrip <= chunk.out.rows && col + width <= chunk.out.cols) {
          MultiplyPanel<kPanel, Left::kColumns>({chunk.out.row(row) + col, chunk.out.stride}, left,
                                                right, depth, accumulate);
        } else {
          EdgeTile(chunk, row, col, left, right, depth, accumulate);
        }
      }
    }
  }
}

HWY_INLINE void MultiplyChunk(const Chunk& chunk) {
  const int64_t block_rows = kBlockStrips * kStrip;
  const int64_t block_cols = kBlockPanels * PanelWidth();
  const int64_t row_blocks = (chunk.out.rows + block_rows - 1) / block_rows;
  const int64_t col_blocks = (chunk.out.cols + block_cols - 1) / block_cols;
  core::parallel_tasks(row_blocks * col_blocks, [&](int64_t task) {
    MultiplyBlock(chunk, task % row_blocks * kBlockStrips, task / row_blocks * kBlockPanels);
  });
}

void Gemm(const GemmCall& call) {
  const View& out = call.out;
  const int64_t k = call.transpose_a ? call.a.rows : call.a.cols;
  const int64_t width = PanelWidth();
  // Whole strips and panels, one at least.
  const int64_t chunk_rows = std::max(kStrip, kChunkFloats / k / kStrip * kStrip);
  const int64_t chunk_cols = std::max(width, kChunkFloats / k / width * width);
  float* left = thread_scratch(Scratch::kLeft, RoundUp(std::min(chunk_rows, out.rows), kStrip) * k);
  float* right =
      thread_scratch(Scratch::kRight, RoundUp(std::min(chunk_cols, out.cols), width) * k);
  for (int64_t row = 0; row < out.rows; row += chunk_rows) {
    const int64_t rows = std::min(chunk_rows, out.rows - row);
    PackOperand(left, call.a, call.transpose_a, row, rows, kStrip);
    for (int64_t col = 0; col < out.cols; col += chunk_cols) {
      const int64_t cols = std::min(chunk_cols, out.cols - col);
      if (row == 0 || cols < out.cols) {  // One chunk for all columns stays packed.
        PackOperand(right, call.b, !call.transpose_b, col, cols, width);
      }
      MultiplyChunk({.out = out.row_range(row, rows).col_range(col, cols),
                     .left = left,
                     .right = right,
                     .k = k,
                     .accumulate = call.accumulate});
    }
  }
}

bool HasWideVectors() {
  return LaneCount() >= 16;
}

}  // namespace llavasharp::core::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::core {

HWY_EXPORT(Gemm);
HWY_EXPORT(HasWideVectors);

// Below 16 rows, packing costs as much as it saves.
bool gemm_pays(int64_t m, int64_t n, int64_t k) {
  static const bool machine_gains = [] {
    __builtin_cpu_init();
    return __builtin_cpu_is("amd") != 0 && HWY_DYNAMIC_DISPATCH(HasWideVectors)();
  }();
  return machine_gains && m >= 16 && n >= 16 && k >= 8;
}

void gemm(const GemmCall& call) {
  HWY_DYNAMIC_DISPATCH(Gemm)(call);
}

}  // namespace llavasharp::core
#endif
