// The right operand is first packed, in parallel, into the order in which the tile product reads
// it: panels of four vectors along k. The left one is read where it lies, six rows at a time;
// stored transposed, it is packed too, in strips of six. A pass goes over a part of k, and over
// chunks of each operand that are small enough to stay in the shared cache between packing and use,
// so that each is packed once. Within a chunk threads take blocks of the output.
#include "core/gemm.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "core/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/gemm.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "core/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::core::HWY_NAMESPACE {

// A pass over k: a panel this deep and a block of strips stay in the second cache together.
constexpr int64_t kDepth = 1024;
// Of packed operands: what the third cache holds.
constexpr int64_t kRightFloats = kGemmScratchFloats / 4;
constexpr int64_t kLeftFloats = kGemmScratchFloats - kRightFloats;
constexpr int64_t kBlockStrips = 8;  // An output block of a task, in strips by panels.
constexpr int64_t kBlockPanels = 8;
// Less than this is not worth waking a thread for.
constexpr int64_t kGrainFloats = 16 * 1024;
constexpr int64_t kGrainProducts = 1024 * 1024;

HWY_INLINE int64_t PanelWidth() {
  return kPanel * LaneCount();
}

// A part of an operand: `count` rows (or columns) from `first` on, over `depth` of k from `step`.
struct Piece {
  const View& from;
  bool rows_are_k;
  int64_t first, count;
  int64_t step, depth;
};

// [count/width][depth][width], the last part padded with zeros.
HWY_INLINE void PackPiece(float* to, const Piece& piece, int64_t width) {
  const View& from = piece.from;
  const int64_t parts = (piece.count + width - 1) / width;
  const int64_t grain = std::max<int64_t>(1, kGrainFloats / (width * piece.depth));
  core::parallel_for(parts, grain, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const Tile tile{to + part * width * piece.depth, width};
      const int64_t at = piece.first + part * width;
      const int64_t used = std::min(width, piece.first + piece.count - at);
      if (piece.rows_are_k) {
        PackColumns(tile, from.row(piece.step) + at, from.stride, piece.depth, used);
      } else {
        PackTransposed(tile, from.row(at) + piece.step, from.stride, used, piece.depth);
      }
    }
  });
}

// Strips of six along k: a row of the operand is read once, and its sixes go to all strips.
HWY_INLINE void PackStrips(float* to, const Piece& piece) {
  if (!piece.rows_are_k) {
    PackPiece(to, piece, kStrip);
    return;
  }
  const int64_t whole = piece.count / kStrip;
  const int64_t grain = std::max<int64_t>(16, kGrainFloats / std::max<int64_t>(1, piece.count));
  core::parallel_for(piece.depth, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* in = piece.from.row(piece.step + row) + piece.first;
      float* out = to + row * kStrip;
      for (int64_t strip = 0; strip < whole; ++strip) {
        std::memcpy(out + strip * kStrip * piece.depth, in + strip * kStrip,
                    kStrip * sizeof(float));
      }
      if (const int64_t left = piece.count - whole * kStrip; left > 0) {
        float* last = out + whole * kStrip * piece.depth;
        std::copy_n(in + whole * kStrip, left, last);
        std::fill(last + left, last + kStrip, 0.0F);
      }
    }
  });
}

// A chunk of the output and its operands. Rows of the left one are read in place up to
// `packed_from`, and from strips after it.
struct Chunk {
  View out;
  View rows;            // [m, k]
  int64_t packed_from;  // A multiple of six.
  const float* strips;  // [strips][k][6]
  const float* right;   // [panels][k][width]
  int64_t k;
  bool accumulate;
};

// Six rows by up to a panel: whole, or through a buffer, so that nothing past the output's edge is
// touched.
template <Left kLeft>
HWY_INLINE void MultiplyTile(const Chunk& chunk, int64_t row, int64_t col, Tile left, Tile right) {
  const int64_t width = PanelWidth();
  if (row + kStrip <= chunk.out.rows && col + width <= chunk.out.cols) {
    MultiplyPanel<kPanel, kLeft>({chunk.out.row(row) + col, chunk.out.stride}, left, right, chunk.k,
                                 chunk.accumulate);
    return;
  }
  HWY_ALIGN float buffer[kStrip * kPanel * hn::MaxLanes(Floats())];
  const int64_t rows = std::min(kStrip, chunk.out.rows - row);
  const int64_t cols = std::min(width, chunk.out.cols - col);
  const int64_t vectors = RoundUp(cols, LaneCount()) / LaneCount();
  MultiplyStrip<kLeft>({buffer, width}, left, right, chunk.k, vectors, false);
  for (int64_t i = 0; i < rows; ++i) {
    float* out = chunk.out.row(row + i) + col;
    for (int64_t at = 0; at < cols; at += LaneCount()) {
      auto sum = hn::Load(Floats(), buffer + i * width + at);
      if (chunk.accumulate) {
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
    // The tile product only reads its operands.
    const Tile right{const_cast<float*>(chunk.right) + col * chunk.k, width};
    for (int64_t row = strip * kStrip; row < last_row; row += kStrip) {
      if (row < chunk.packed_from) {
        const Tile left{chunk.rows.row(row), chunk.rows.stride};
        MultiplyTile<Left::kRows>(chunk, row, col, left, right);
      } else {
        const Tile left{const_cast<float*>(chunk.strips) + (row - chunk.packed_from) * chunk.k,
                        kStrip};
        MultiplyTile<Left::kColumns>(chunk, row, col, left, right);
      }
    }
  }
}

HWY_INLINE void MultiplyChunk(const Chunk& chunk) {
  const int64_t block_rows = kBlockStrips * kStrip;
  const int64_t block_cols = kBlockPanels * PanelWidth();
  const int64_t row_blocks = (chunk.out.rows + block_rows - 1) / block_rows;
  const int64_t col_blocks = (chunk.out.cols + block_cols - 1) / block_cols;
  const auto block = [&](int64_t task) {
    MultiplyBlock(chunk, task % row_blocks * kBlockStrips, task / row_blocks * kBlockPanels);
  };
  const int64_t tasks = row_blocks * col_blocks;
  if (chunk.out.rows * chunk.out.cols * chunk.k < kGrainProducts) {
    for (int64_t task = 0; task < tasks; ++task) {
      block(task);
    }
    return;
  }
  core::parallel_tasks(tasks, block);
}

void Gemm(const GemmCall& call) {
  const View& out = call.out;
  const int64_t k = call.transpose_a ? call.a.rows : call.a.cols;
  const int64_t width = PanelWidth();
  const int64_t steps = (k + kDepth - 1) / kDepth;
  const int64_t most = (k + steps - 1) / steps;  // Passes of about equal depth.
  // Whole strips and panels.
  const int64_t chunk_rows = kLeftFloats / most / kStrip * kStrip;
  const int64_t chunk_cols = kRightFloats / most / width * width;
  const bool in_place = !call.transpose_a;  // Then only the last rows are packed.
  const int64_t strips = in_place ? kStrip : RoundUp(std::min(chunk_rows, out.rows), kStrip);
  float* left = thread_scratch(Scratch::kLeft, strips * most);
  float* right =
      thread_scratch(Scratch::kRight, RoundUp(std::min(chunk_cols, out.cols), width) * most);
  for (int64_t step = 0; step < k; step += most) {
    const int64_t depth = std::min(most, k - step);
    for (int64_t row = 0; row < out.rows; row += chunk_rows) {
      const int64_t rows = std::min(chunk_rows, out.rows - row);
      const int64_t packed_from = in_place ? rows / kStrip * kStrip : 0;
      PackStrips(left,
                 {call.a, call.transpose_a, row + packed_from, rows - packed_from, step, depth});
      for (int64_t col = 0; col < out.cols; col += chunk_cols) {
        const int64_t cols = std::min(chunk_cols, out.cols - col);
        if (row == 0 || cols < out.cols) {  // One chunk for all columns stays packed.
          PackPiece(right, {call.b, !call.transpose_b, col, cols, step, depth}, width);
        }
        MultiplyChunk(
            {.out = out.row_range(row, rows).col_range(col, cols),
             .rows = in_place ? call.a.row_range(row, rows).col_range(step, depth) : View{},
             .packed_from = packed_from,
             .strips = left,
             .right = right,
             .k = depth,
             .accumulate = call.accumulate || step > 0});
      }
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
