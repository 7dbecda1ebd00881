// Checks of an AttentionShape.
#include "backend/cpu/attention_shape.h"

#include <cinttypes>

#include "backend/cpu/checks.h"
#include "core/error.h"

namespace llavasharp::backend::cpu {
namespace {

void require_sample(const char* kernel, const AttentionOperands& operands,
                    const AttentionShape& shape, int64_t sample) {
  const int64_t begin = shape.q_start[sample];
  const int64_t end = shape.q_start[sample + 1];
  const int64_t first = shape.k_start[sample];
  const int64_t keys = shape.k_count[sample];
  if (begin < 0 || end < begin || end > operands.q.rows) {
    core::fail(LLV_INVALID,
               "%s: sample %" PRId64 " has queries %" PRId64 " to %" PRId64 " of %" PRId64, kernel,
               sample, begin, end, operands.q.rows);
  }
  if (first < 0 || keys < 0 || first + keys > operands.k.rows) {
    core::fail(LLV_INVALID,
               "%s: sample %" PRId64 " has keys %" PRId64 " to %" PRId64 " of %" PRId64, kernel,
               sample, first, first + keys, operands.k.rows);
  }
  if (shape.q_visible == nullptr) {
    if (end > begin && keys < 1) {
      core::fail(LLV_INVALID, "%s: sample %" PRId64 " has queries but no keys", kernel, sample);
    }
    return;
  }
  int32_t before = 1;
  for (int64_t row = begin; row < end; ++row) {
    if (shape.q_visible[row] < before || shape.q_visible[row] > keys) {
      core::fail(LLV_INVALID,
                 "%s: query %" PRId64 " of sample %" PRId64 " sees %d keys, after %d, of %" PRId64,
                 kernel, row, sample, shape.q_visible[row], before, keys);
    }
    before = shape.q_visible[row];
  }
}

}  // namespace

void require_attention(const char* kernel, const AttentionOperands& operands,
                       const AttentionShape& shape) {
  if (shape.heads < 1 || shape.kv_heads < 1 || shape.head_dim < 1 ||
      shape.heads % shape.kv_heads != 0) {
    core::fail(LLV_INVALID, "%s: %d heads, %d key heads, head size %d", kernel, shape.heads,
               shape.kv_heads, shape.head_dim);
  }
  const int64_t q_cols = static_cast<int64_t>(shape.heads) * shape.head_dim;
  const int64_t k_cols = static_cast<int64_t>(shape.kv_heads) * shape.head_dim;
  require_shape(kernel, "q", operands.q, operands.q.rows, q_cols);
  require_shape(kernel, "k", operands.k, operands.k.rows, k_cols);
  require_shape(kernel, "v", operands.v, operands.k.rows, k_cols);
  require_shape(kernel, "out", operands.out, operands.q.rows, q_cols);
  if (!operands.log_sum_exp.empty()) {
    require_shape(kernel, "log_sum_exp", operands.log_sum_exp, operands.q.rows, shape.heads);
  }
  for (int64_t sample = 0; sample < shape.samples; ++sample) {
    require_sample(kernel, operands, shape, sample);
  }
}

}  // namespace llavasharp::backend::cpu
