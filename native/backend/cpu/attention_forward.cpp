// Attention, forward. A task is one key head of one sample: its keys are packed transposed and its
// values padded, once, for all the queries that read them. Queries go by blocks, keys by blocks
// within; a strip of six queries makes its scores, keeps a running maximum and sum (the online
// softmax), and adds to its output, all in the first cache. Keys that a strip does not see cost
// nothing. Scores never reach memory.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/attention_shape.h"
#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/parallel.h"
#include "core/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/attention_forward.cpp"
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

constexpr int64_t kQueryBlock = 48;  // Whole strips.
constexpr int64_t kKeyBlock = 128;   // Whole vectors.
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// What one task works on, and its scratch.
struct ForwardTask {
  const AttentionOperands& views;
  const AttentionShape& shape;
  int64_t sample;
  int64_t keys;
  Tile keys_t;  // [head_dim, keys], transposed.
  Tile values;  // [keys, head_dim]
  Tile query;   // [kQueryBlock, head_dim], scaled.
  Tile out;     // [kQueryBlock, head_dim], not yet divided by the sum.
  Tile scores;  // [6, kKeyBlock]
  float most[kQueryBlock];
  double sum[kQueryBlock];

  // Keys that query `row` of the block at `first` sees; a padding row sees as many as the last.
  [[nodiscard]] HWY_INLINE int64_t Visible(int64_t row) const {
    const int64_t last = shape.q_start[sample + 1] - 1;
    return shape.q_visible != nullptr ? shape.q_visible[std::min(row, last)] : keys;
  }
};

// One row of scores to exponentials, its running maximum and sum; the factor for what came before.
HWY_INLINE float SoftmaxRow(float* scores, int64_t visible, int64_t vectors, float& most,
                            double& sum) {
  const Floats d;
  const int64_t lanes = LaneCount();
  std::fill(scores + std::min(visible, vectors * lanes), scores + vectors * lanes, kMinusInfinity);
  auto top = hn::Load(d, scores);
  for (int64_t v = 1; v < vectors; ++v) {
    top = hn::Max(top, hn::Load(d, scores + v * lanes));
  }
  const float before = most;
  most = std::max(before, MaxLane(top));
  const auto shift = Constant(most);
  auto total = hn::Zero(d);
  for (int64_t v = 0; v < vectors; ++v) {
    const auto value = Exp(hn::Sub(hn::Load(d, scores + v * lanes), shift));
    total = hn::Add(total, value);
    hn::Store(value, d, scores + v * lanes);
  }
  const float factor = sum == 0.0 || before == most ? 1.0F : std::exp(before - most);
  sum = sum * static_cast<double>(factor) + static_cast<double>(SumLanes(total));
  return factor;
}

// Six queries, `row` the first in the block at `first`, and the keys of the block at `key`.
HWY_INLINE void ForwardStrip(ForwardTask& task, int64_t first, int64_t row, int64_t key) {
  const int64_t dim = task.shape.head_dim;
  const int64_t dim_vectors = task.out.stride / LaneCount();
  const int64_t seen = std::min(task.Visible(first + row + kStrip - 1) - key, kKeyBlock);
  if (seen <= 0) {
    return;
  }
  const int64_t vectors = RoundUp(seen, LaneCount()) / LaneCount();
  MultiplyStrip<Left::kRows>(task.scores, task.query.At(row, 0), task.keys_t.At(0, key), dim,
                             vectors, false);
  const Floats d;
  for (int64_t i = 0; i < kStrip; ++i) {
    const int64_t visible = std::max<int64_t>(0, task.Visible(first + row + i) - key);
    const float factor = SoftmaxRow(task.scores.data + i * kKeyBlock, visible, vectors,
                                    task.most[row + i], task.sum[row + i]);
    if (factor != 1.0F && key > 0) {
      float* out = task.out.data + (row + i) * task.out.stride;
      for (int64_t v = 0; v < dim_vectors; ++v) {
        float* part = out + v * LaneCount();
        hn::Store(hn::Mul(hn::Load(d, part), Constant(factor)), d, part);
      }
    }
  }
  MultiplyStrip<Left::kRows>(task.out.At(row, 0), task.scores, task.values.At(key, 0), seen,
                             dim_vectors, key > 0);
}

// The queries first … first + rows of one head.
HWY_INLINE void ForwardBlock(ForwardTask& task, int64_t head, int64_t first, int64_t rows) {
  const int64_t dim = task.shape.head_dim;
  const View& q = task.views.q;
  const int64_t padded = RoundUp(rows, kStrip);
  PackRows(task.query, q.row(first) + head * dim, q.stride, rows, dim, padded, task.shape.scale);
  std::fill_n(task.most, padded, kMinusInfinity);
  std::fill_n(task.sum, padded, 0.0);
  const int64_t seen = task.Visible(first + rows - 1);
  for (int64_t key = 0; key < seen; key += kKeyBlock) {
    for (int64_t row = 0; row < padded; row += kStrip) {
      ForwardStrip(task, first, row, key);
    }
  }
  const View& lse = task.views.log_sum_exp;
  for (int64_t row = 0; row < rows; ++row) {
    UnpackRows(task.views.out.row(first + row) + head * dim, 0, task.out.At(row, 0), 1, dim,
               static_cast<float>(1.0 / task.sum[row]));
    if (!lse.empty()) {
      lse.row(first + row)[head] =
          static_cast<float>(static_cast<double>(task.most[row]) + std::log(task.sum[row]));
    }
  }
}

HWY_INLINE void RunForwardTask(const AttentionOperands& views, const AttentionShape& shape,
                               int64_t sample, int64_t kv_head) {
  const int64_t dim = shape.head_dim;
  const int64_t wide = RoundUp(dim, LaneCount());
  const int64_t keys = shape.k_count[sample];
  const int64_t key_stride = RoundUp(keys, 16);
  float* scratch =
      core::thread_scratch(core::Scratch::kPart,
                           dim * key_stride + (keys + 2 * kQueryBlock) * wide + kStrip * kKeyBlock);
  const auto take = [&scratch](int64_t rows, int64_t stride) {
    const Tile tile{scratch, stride};
    scratch += rows * stride;
    return tile;
  };
  ForwardTask task{.views = views,
                   .shape = shape,
                   .sample = sample,
                   .keys = keys,
                   .keys_t = take(dim, key_stride),
                   .values = take(keys, wide),
                   .query = take(kQueryBlock, wide),
                   .out = take(kQueryBlock, wide),
                   .scores = take(kStrip, kKeyBlock),
                   .most = {},
                   .sum = {}};
  const int64_t first_key = shape.k_start[sample];
  const int64_t kv_col = kv_head * dim;
  PackTransposed(task.keys_t, views.k.row(first_key) + kv_col, views.k.stride, keys, dim);
  PackRows(task.values, views.v.row(first_key) + kv_col, views.v.stride, keys, dim, keys, 1.0F);
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t end = shape.q_start[sample + 1];
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int64_t first = shape.q_start[sample]; first < end; first += kQueryBlock) {
      ForwardBlock(task, head, first, std::min(kQueryBlock, end - first));
    }
  }
}

void AttentionForward(const AttentionOperands& views, const AttentionShape& shape) {
  core::parallel_tasks(shape.samples * shape.kv_heads, [&](int64_t task) {
    const int64_t sample = task / shape.kv_heads;
    if (shape.q_start[sample] < shape.q_start[sample + 1]) {
      RunForwardTask(views, shape, sample, task % shape.kv_heads);
    }
  });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(AttentionForward);

void attention_forward(View out, View log_sum_exp, View q, View k, View v,
                       const AttentionShape& shape) {
  const AttentionOperands views{.out = out, .log_sum_exp = log_sum_exp, .q = q, .k = k, .v = v};
  require_attention("attention_forward", views, shape);
  HWY_DYNAMIC_DISPATCH(AttentionForward)(views, shape);
}

}  // namespace llavasharp::backend::cpu
#endif
