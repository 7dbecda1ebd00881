// Attention over packed samples.
#include <cmath>
#include <limits>
#include <vector>

#include "backend/cpu/attention_shape.h"
#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/attention.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

HWY_INLINE float Dot(const float* a, const float* b, int64_t count) {
  return SumOver(
      count, [=](int64_t i, int64_t n) { return hn::Mul(LoadUpTo(a + i, n), LoadUpTo(b + i, n)); });
}
// y += x · scale.
HWY_INLINE void AddScaled(float* y, const float* x, float scale, int64_t count) {
  const auto s = Constant(scale);
  for (int64_t i = 0; i < count; i += LaneCount()) {
    const int64_t n = count - i;
    StoreUpTo(hn::MulAdd(LoadUpTo(x + i, n), s, LoadUpTo(y + i, n)), y + i, n);
  }
}

void AttentionForward(const View& out, const View& log_sum_exp, const View& q, const View& k,
                      const View& v, const AttentionShape& shape) {
  const int64_t dim = shape.head_dim;
  const int64_t group = shape.heads / shape.kv_heads;
  core::parallel_tasks(shape.samples * shape.heads, [&](int64_t task) {
    const int64_t sample = task / shape.heads;
    const int64_t head = task % shape.heads;
    const int64_t kv_col = head / group * dim;
    std::vector<float> scores(static_cast<size_t>(shape.k_count[sample]));
    for (int64_t row = shape.q_start[sample]; row < shape.q_start[sample + 1]; ++row) {
      const int64_t seen =
          shape.q_visible != nullptr ? shape.q_visible[row] : shape.k_count[sample];
      const float* query = q.row(row) + head * dim;
      float most = -std::numeric_limits<float>::infinity();
      for (int64_t j = 0; j < seen; ++j) {
        const float* key = k.row(shape.k_start[sample] + j) + kv_col;
        const float score = shape.scale * Dot(query, key, dim);
        scores[static_cast<size_t>(j)] = score;
        most = std::max(most, score);
      }
      double sum = 0.0;
      for (int64_t j = 0; j < seen; ++j) {
        float& score = scores[static_cast<size_t>(j)];
        score = std::exp(score - most);
        sum += static_cast<double>(score);
      }
      float* to = out.row(row) + head * dim;
      std::fill_n(to, dim, 0.0F);
      for (int64_t j = 0; j < seen; ++j) {
        const float* value = v.row(shape.k_start[sample] + j) + kv_col;
        AddScaled(to, value,
                  static_cast<float>(static_cast<double>(scores[static_cast<size_t>(j)]) / sum),
                  dim);
      }
      if (!log_sum_exp.empty()) {
        log_sum_exp.row(row)[head] = static_cast<float>(static_cast<double>(most) + std::log(sum));
      }
    }
  });
}

void AttentionBackward(const View& dq, const View& dk, const View& dv, const View& dout,
                       const View& out, const View& log_sum_exp, const View& q, const View& k,
                       const View& v, const AttentionShape& shape) {
  const int64_t dim = shape.head_dim;
  const int64_t group = shape.heads / shape.kv_heads;
  core::parallel_tasks(shape.samples * shape.kv_heads, [&](int64_t task) {
    const int64_t sample = task / shape.kv_heads;
    const int64_t kv_col = task % shape.kv_heads * dim;
    const int64_t first = shape.k_start[sample];
    for (int64_t j = 0; j < shape.k_count[sample]; ++j) {
      std::fill_n(dk.row(first + j) + kv_col, dim, 0.0F);
      std::fill_n(dv.row(first + j) + kv_col, dim, 0.0F);
    }
    for (int64_t head = task % shape.kv_heads * group; head < (task % shape.kv_heads + 1) * group;
         ++head) {
      for (int64_t row = shape.q_start[sample]; row < shape.q_start[sample + 1]; ++row) {
        const int64_t seen =
            shape.q_visible != nullptr ? shape.q_visible[row] : shape.k_count[sample];
        const float* query = q.row(row) + head * dim;
        const float* dto = dout.row(row) + head * dim;
        float* dquery = dq.row(row) + head * dim;
        std::fill_n(dquery, dim, 0.0F);
        const float delta = Dot(dto, out.row(row) + head * dim, dim);
        const float lse = log_sum_exp.row(row)[head];
        for (int64_t j = first; j < first + seen; ++j) {
          const float* key = k.row(j) + kv_col;
          const float p = std::exp(shape.scale * Dot(query, key, dim) - lse);
          const float ds = shape.scale * p * (Dot(dto, v.row(j) + kv_col, dim) - delta);
          AddScaled(dv.row(j) + kv_col, dto, p, dim);
          AddScaled(dquery, key, ds, dim);
          AddScaled(dk.row(j) + kv_col, query, ds, dim);
        }
      }
    }
  });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(AttentionForward);
HWY_EXPORT(AttentionBackward);

void attention_forward(View out, View log_sum_exp, View q, View k, View v,
                       const AttentionShape& shape) {
  require_attention("attention_forward",
                    {.out = out, .log_sum_exp = log_sum_exp, .q = q, .k = k, .v = v}, shape);
  HWY_DYNAMIC_DISPATCH(AttentionForward)(out, log_sum_exp, q, k, v, shape);
}

void attention_backward(View dq, View dk, View dv, View dout, View out, View log_sum_exp, View q,
                        View k, View v, const AttentionShape& shape) {
  const char* const kernel = "attention_backward";
  require_attention(kernel, {.out = out, .log_sum_exp = log_sum_exp, .q = q, .k = k, .v = v},
                    shape);
  require_attention(kernel, {.out = dout, .log_sum_exp = log_sum_exp, .q = dq, .k = dk, .v = dv},
                    shape);
  require_shape(kernel, "log_sum_exp", log_sum_exp, q.rows, shape.heads);
  HWY_DYNAMIC_DISPATCH(AttentionBackward)
  (dq, dk, dv, dout, out, log_sum_exp, q, k, v, shape);
}

}  // namespace llavasharp::backend::cpu
#endif
