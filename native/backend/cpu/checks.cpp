// Shape checks of the CPU kernels.
#include "backend/cpu/checks.h"

#include <cinttypes>

#include "core/error.h"

namespace llavasharp::backend::cpu {

void require_shape(const char* kernel, const char* operand, const View& view, int64_t rows,
                   int64_t cols) {
  if (view.dtype != core::DType::kFloat32) {
    core::fail(LLV_UNSUPPORTED, "%s: %s has dtype %d, only float32 is computed", kernel, operand,
               static_cast<int>(view.dtype));
  }
  if (view.rows != rows || view.cols != cols) {
    core::fail(LLV_SHAPE,
               "%s: %s is [%" PRId64 ", %" PRId64 "] where [%" PRId64 ", %" PRId64 "] is needed",
               kernel, operand, view.rows, view.cols, rows, cols);
  }
  if (rows < 0 || cols < 0 || (rows > 1 && view.stride < cols)) {
    core::fail(LLV_SHAPE, "%s: %s is [%" PRId64 ", %" PRId64 "] with stride %" PRId64, kernel,
               operand, rows, cols, view.stride);
  }
  if (view.data == nullptr && rows > 0 && cols > 0) {
    core::fail(LLV_INVALID, "%s: %s is null where [%" PRId64 ", %" PRId64 "] is needed", kernel,
               operand, rows, cols);
  }
}

}  // namespace llavasharp::backend::cpu
