// What every kernel checks before it touches memory: a wrong shape is an error with both shapes in
// it, never an access outside a buffer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/view.h"

namespace llavasharp::backend::cpu {

using core::View;

// Throws LLV_SHAPE unless `view` is a float32 matrix [rows, cols].
void require_shape(const char* kernel, const char* operand, const View& view, int64_t rows,
                   int64_t cols);

// Rows a part of a parallel loop must have for its threads to be worth waking.
inline int64_t row_grain(int64_t cols) {
  constexpr int64_t kElements = 16 * 1024;
  return std::max<int64_t>(1, kElements / std::max<int64_t>(1, cols));
}

}  // namespace llavasharp::backend::cpu
