// Checks of an AttentionShape: every row and column that a kernel will touch lies inside its view.
#pragma once

#include "backend/kernels.h"

namespace llavasharp::backend::cpu {

struct AttentionOperands {
  View out;          // [query rows, heads, head_dim]
  View log_sum_exp;  // [query rows, heads], or empty.
  View q;            // [query rows, heads, head_dim]
  View k;            // [key rows, kv_heads, head_dim]
  View v;            // [key rows, kv_heads, head_dim]
};

// Throws LLV_INVALID or LLV_SHAPE, naming the sample and the value.
void require_attention(const char* kernel, const AttentionOperands& operands,
                       const AttentionShape& shape);

}  // namespace llavasharp::backend::cpu
