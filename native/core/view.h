// A View is a borrowed row-major matrix, the only tensor shape that layers and kernels see:
// activations are [tokens, width], weights [out, in], vectors [1, n].
#pragma once

#include <cstdint>

namespace llavasharp::core {

// Stored element types. Values are llv_dtype's.
enum class DType : int32_t { kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2, kFloat64 = 3 };

// Does not own its memory, which lives on the engine's device and must outlive the view.
struct View {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // Elements from one row to the next, ≥ cols.
  DType dtype = DType::kFloat32;

  [[nodiscard]] bool empty() const { return data == nullptr || rows == 0 || cols == 0; }
  [[nodiscard]] int64_t count() const { return rows * cols; }
  // The elements as float32; the caller knows the dtype.
  [[nodiscard]] float* f32() const { return static_cast<float*>(data); }
  [[nodiscard]] float* row(int64_t index) const { return f32() + index * stride; }
  // Rows begin … begin+count of a float32 view.
  [[nodiscard]] View row_range(int64_t begin, int64_t count) const {
    return {f32() + begin * stride, count, cols, stride, dtype};
  }
  // Columns begin … begin+count of a float32 view.
  [[nodiscard]] View col_range(int64_t begin, int64_t count) const {
    return {f32() + begin, rows, count, stride, dtype};
  }
};

// A dense float32 view over memory that the caller owns.
inline View dense(float* data, int64_t rows, int64_t cols) {
  return {data, rows, cols, cols, DType::kFloat32};
}

}  // namespace llavasharp::core
