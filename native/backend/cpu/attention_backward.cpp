// Attention, backward. With S the scaled scores, P = e^(S - log-sum-exp) and D = rowsum(dO·O):
//   dV = Pᵀ dO,  dS = P (dO Vᵀ - D),  dQ = scale · dS K,  dK = dSᵀ (scale · Q).
// A task is one key head of one sample with all the queries that read it, so that every gradient is
// summed in one fixed order. P and dS exist for one tile of queries and keys at a time.
#include <algorithm>
#include <limits>

#include "backend/cpu/attention_shape.h"
#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/parallel.h"
#include "core/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/attention_backward.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/simd-inl.h"
#include "core/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

using core::HWY_NAMESPACE::kStrip;
using core::HWY_NAMESPACE::Left;
using core::HWY_NAMESPACE::MultiplyStrip;
using core::HWY_NAMESPACE::PackRows;
using core::HWY_NAMESPACE::PackTransposed;
using core::HWY_NAMESPACE::RoundUp;
using core::HWY_NAMESPACE::Tile;
using core::HWY_NAMESPACE::UnpackRows;

constexpr int64_t kQueryRows = 48;  // A block of queries: whole strips.
constexpr int64_t kKeyCols = 96;    // A block of keys: whole strips and whole vectors.

struct BackwardTask {
  const AttentionOperands& views;      // Inputs of forward, its output and log-sum-exp.
  const AttentionOperands& gradients;  // dq, dk, dv, and dout as `out`.
  const AttentionShape& shape;
  int64_t sample;
  int64_t keys;
  Tile keys_t;         // [head_dim, keys], transposed.
  Tile values_t;       // [head_dim, keys], transposed.
  Tile key_rows;       // [keys, head_dim]
  Tile dkeys;          // [keys, head_dim], whole key blocks.
  Tile dvalues;        // [keys, head_dim], whole key blocks.
  Tile query;          // [kQueryRows, head_dim], scaled.
  Tile dout;           // [kQueryRows, head_dim]
  Tile dquery;         // [kQueryRows, head_dim], not yet scaled.
  Tile probabilities;  // [kQueryRows, kKeyCols]
  Tile dscores;        // [kQueryRows, kKeyCols]
  float log_sum_exp[kQueryRows];
  float delta[kQueryRows];

  // Keys that query `row` sees; a padding row sees as many as the last.
  [[nodiscard]] HWY_INLINE int64_t Visible(int64_t row) const {
    const int64_t last = shape.q_start[sample + 1] - 1;
    return shape.q_visible != nullptr ? shape.q_visible[std::min(row, last)] : keys;
  }
};

// One row of scores and dO Vᵀ becomes P and dS; what is not visible becomes 0, to the tile's end.
HWY_INLINE void GradientRow(float* p, float* ds, int64_t visible, int64_t vectors, float lse,
                            float delta) {
  const Floats d;
  const int64_t lanes = LaneCount();
  const auto shift = Constant(lse);
  const auto mean = Constant(delta);
  for (int64_t v = 0; v < vectors; ++v) {
    const auto value = Exp(hn::Sub(hn::Load(d, p + v * lanes), shift));
    const auto slope = hn::Mul(value, hn::Sub(hn::Load(d, ds + v * lanes), mean));
    hn::Store(value, d, p + v * lanes);
    hn::Store(slope, d, ds + v * lanes);
  }
  if (visible < kKeyCols) {
    std::fill(p + visible, p + kKeyCols, 0.0F);
    std::fill(ds + visible, ds + kKeyCols, 0.0F);
  }
}

// Six queries, `row` the first in the block at `first`, and the keys of the block at `key`.
HWY_INLINE void BackwardStrip(BackwardTask& task, int64_t first, int64_t row, int64_t key) {
  const int64_t dim = task.shape.head_dim;
  const int64_t seen = std::min(task.Visible(first + row + kStrip - 1) - key, kKeyCols);
  if (seen <= 0) {
    return;
  }
  const int64_t vectors = RoundUp(seen, LaneCount()) / LaneCount();
  const Tile p = task.probabilities.At(row, 0);
  const Tile ds = task.dscores.At(row, 0);
  MultiplyStrip<Left::kRows>(p, task.query.At(row, 0), task.keys_t.At(0, key), dim, vectors, false);
  MultiplyStrip<Left::kRows>(ds, task.dout.At(row, 0), task.values_t.At(0, key), dim, vectors,
                             false);
  for (int64_t i = 0; i < kStrip; ++i) {
    const int64_t visible = std::clamp<int64_t>(task.Visible(first + row + i) - key, 0, kKeyCols);
    GradientRow(p.data + i * kKeyCols, ds.data + i * kKeyCols, visible, vectors,
                task.log_sum_exp[row + i], task.delta[row + i]);
  }
  MultiplyStrip<Left::kRows>(task.dquery.At(row, 0), ds, task.key_rows.At(key, 0), seen,
                             task.dquery.stride / LaneCount(), true);
}

// The tile's part of dK and dV, by strips of six keys; queries before the first that sees a strip
// are skipped.
HWY_INLINE void AddKeyGradients(BackwardTask& task, int64_t first, int64_t rows, int64_t key) {
  const int64_t width = std::min(task.Visible(first + rows - 1) - key, kKeyCols);
  const int64_t dim_vectors = task.dkeys.stride / LaneCount();
  int64_t from = 0;
  for (int64_t col = 0; col < width; col += kStrip) {
    while (task.Visible(first + from) <= key + col) {
      ++from;
    }
    MultiplyStrip<Left::kColumns>(task.dvalues.At(key + col, 0), task.probabilities.At(from, col),
                                  task.dout.At(from, 0), rows - from, dim_vectors, true);
    MultiplyStrip<Left::kColumns>(task.dkeys.At(key + col, 0), task.dscores.At(from, col),
                                  task.query.At(from, 0), rows - from, dim_vectors, true);
  }
}

// The queries first … first + rows of one head.
HWY_INLINE void BackwardBlock(BackwardTask& task, int64_t head, int64_t first, int64_t rows) {
  const int64_t dim = task.shape.head_dim;
  const int64_t col = head * dim;
  const View& q = task.views.q;
  const View& out = task.views.out;
  const View& dout = task.gradients.out;
  const View& dq = task.gradients.q;
  const int64_t padded = RoundUp(rows, kStrip);
  PackRows(task.query, q.row(first) + col, q.stride, rows, dim, padded, task.shape.scale);
  PackRows(task.dout, dout.row(first) + col, dout.stride, rows, dim, padded, 1.0F);
  std::fill_n(task.dquery.data, padded * task.dquery.stride, 0.0F);
  std::fill_n(task.log_sum_exp, padded, 0.0F);
  std::fill_n(task.delta, padded, 0.0F);
  for (int64_t row = 0; row < rows; ++row) {
    const float* result = out.row(first + row) + col;
    const float* gradient = dout.row(first + row) + col;
    task.log_sum_exp[row] = task.views.log_sum_exp.row(first + row)[head];
    task.delta[row] = SumOver(dim, [=](int64_t i, int64_t n) {
      return hn::Mul(LoadUpTo(result + i, n), LoadUpTo(gradient + i, n));
    });
  }
  const int64_t seen = task.Visible(first + rows - 1);
  for (int64_t key = 0; key < seen; key += kKeyCols) {
    for (int64_t row = 0; row < padded; row += kStrip) {
      BackwardStrip(task, first, row, key);
    }
    AddKeyGradients(task, first, rows, key);
  }
  UnpackRows(dq.row(first) + col, dq.stride, task.dquery, rows, dim, task.shape.scale);
}

HWY_INLINE BackwardTask PrepareBackwardTask(const AttentionOperands& views,
                                            const AttentionOperands& gradients,
                                            const AttentionShape& shape, int64_t sample) {
  const int64_t dim = shape.head_dim;
  const int64_t wide = RoundUp(dim, LaneCount());
  const int64_t keys = shape.k_count[sample];
  const int64_t key_stride = RoundUp(keys, 16);
  const int64_t blocks = RoundUp(keys, kKeyCols);
  float* scratch = core::thread_scratch(
      core::Scratch::kPart, 2 * dim * key_stride + (keys + 2 * blocks + 3 * kQueryRows) * wide +
                                2 * kQueryRows * kKeyCols);
  const auto take = [&scratch](int64_t rows, int64_t stride) {
    const Tile tile{scratch, stride};
    scratch += rows * stride;
    return tile;
  };
  return {.views = views,
          .gradients = gradients,
          .shape = shape,
          .sample = sample,
          .keys = keys,
          .keys_t = take(dim, key_stride),
          .values_t = take(dim, key_stride),
          .key_rows = take(keys, wide),
          .dkeys = take(blocks, wide),
          .dvalues = take(blocks, wide),
          .query = take(kQueryRows, wide),
          .dout = take(kQueryRows, wide),
          .dquery = take(kQueryRows, wide),
          .probabilities = take(kQueryRows, kKeyCols),
          .dscores = take(kQueryRows, kKeyCols),
          .log_sum_exp = {},
          .delta = {}};
}

HWY_INLINE void RunBackwardTask(BackwardTask& task, int64_t kv_head) {
  const AttentionShape& shape = task.shape;
  const View& k = task.views.k;
  const View& v = task.views.v;
  const View& dk = task.gradients.k;
  const View& dv = task.gradients.v;
  const int64_t dim = shape.head_dim;
  const int64_t keys = task.keys;
  const int64_t first_key = shape.k_start[task.sample];
  const int64_t kv_col = kv_head * dim;
  PackTransposed(task.keys_t, k.row(first_key) + kv_col, k.stride, keys, dim);
  PackTransposed(task.values_t, v.row(first_key) + kv_col, v.stride, keys, dim);
  PackRows(task.key_rows, k.row(first_key) + kv_col, k.stride, keys, dim, keys, 1.0F);
  const int64_t blocks = RoundUp(keys, kKeyCols);
  std::fill_n(task.dkeys.data, blocks * task.dkeys.stride, 0.0F);
  std::fill_n(task.dvalues.data, blocks * task.dvalues.stride, 0.0F);
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t end = shape.q_start[task.sample + 1];
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int64_t first = shape.q_start[task.sample]; first < end; first += kQueryRows) {
      BackwardBlock(task, head, first, std::min(kQueryRows, end - first));
    }
  }
  UnpackRows(dk.row(first_key) + kv_col, dk.stride, task.dkeys, keys, dim, 1.0F);
  UnpackRows(dv.row(first_key) + kv_col, dv.stride, task.dvalues, keys, dim, 1.0F);
}

void AttentionBackward(const AttentionOperands& views, const AttentionOperands& gradients,
                       const AttentionShape& shape) {
  core::parallel_tasks(shape.samples * shape.kv_heads, [&](int64_t index) {
    const int64_t sample = index / shape.kv_heads;
    if (shape.k_count[sample] > 0) {
      BackwardTask task = PrepareBackwardTask(views, gradients, shape, sample);
      RunBackwardTask(task, index % shape.kv_heads);
    }
  });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(AttentionBackward);

void attention_backward(View dq, View dk, View dv, View dout, View out, View log_sum_exp, View q,
                        View k, View v, const AttentionShape& shape) {
  const char* const kernel = "attention_backward";
  const AttentionOperands views{.out = out, .log_sum_exp = log_sum_exp, .q = q, .k = k, .v = v};
  const AttentionOperands gradients{
      .out = dout, .log_sum_exp = log_sum_exp, .q = dq, .k = dk, .v = dv};
  require_attention(kernel, views, shape);
  require_attention(kernel, gradients, shape);
  require_shape(kernel, "dq", dq, q.rows, q.cols);
  require_shape(kernel, "dk", dk, k.rows, k.cols);
  require_shape(kernel, "log_sum_exp", log_sum_exp, q.rows, shape.heads);
  HWY_DYNAMIC_DISPATCH(AttentionBackward)(views, gradients, shape);
}

}  // namespace llavasharp::backend::cpu
#endif
