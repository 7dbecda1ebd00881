// Rows by index. Threads share out columns where rows may repeat, so that repeated rows add in
// order whatever the thread count.
#include <algorithm>
#include <cinttypes>
#include <cstring>

#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/error.h"
#include "core/parallel.h"

namespace llavasharp::backend::cpu {
namespace {

void require_rows(const char* kernel, const int32_t* rows, int64_t count, int64_t limit) {
  for (int64_t i = 0; i < count; ++i) {
    if (rows[i] >= limit) {
      core::fail(LLV_INVALID, "%s: row %d (entry %" PRId64 ") is past the last of %" PRId64 " rows",
                 kernel, rows[i], i, limit);
    }
  }
}

void scatter_columns(const View& y, const View& x, const int32_t* rows, bool accumulate,
                     int64_t begin, int64_t end) {
  for (int64_t i = 0; i < x.rows; ++i) {
    if (rows[i] < 0) {
      continue;
    }
    const float* in = x.row(i) + begin;
    float* out = y.row(rows[i]) + begin;
    if (accumulate) {
      std::transform(out, out + (end - begin), in, out,
                     [](float sum, float value) { return sum + value; });
    } else {
      std::memcpy(out, in, static_cast<size_t>(end - begin) * sizeof(float));
    }
  }
}

}  // namespace

void gather_rows(View y, View x, const int32_t* rows) {
  require_shape("gather_rows", "y", y, y.rows, x.cols);
  require_shape("gather_rows", "x", x, x.rows, x.cols);
  require_rows("gather_rows", rows, y.rows, x.rows);
  if (y.empty()) {
    return;
  }
  core::parallel_for(y.rows, row_grain(y.cols), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (rows[i] >= 0) {
        std::memcpy(y.row(i), x.row(rows[i]), static_cast<size_t>(x.cols) * sizeof(float));
      }
    }
  });
}

void scatter_rows(View y, View x, const int32_t* rows, bool accumulate) {
  require_shape("scatter_rows", "y", y, y.rows, x.cols);
  require_shape("scatter_rows", "x", x, x.rows, x.cols);
  require_rows("scatter_rows", rows, x.rows, y.rows);
  if (x.empty()) {
    return;
  }
  const int64_t grain = std::max<int64_t>(64, row_grain(x.rows));
  core::parallel_for(x.cols, grain, [&](int64_t begin, int64_t end) {
    scatter_columns(y, x, rows, accumulate, begin, end);
  });
}

}  // namespace llavasharp::backend::cpu
