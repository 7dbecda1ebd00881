// Each product becomes one call on tensors that borrow the views' memory; a transposed operand is
// the same memory with its strides exchanged, which the matrix library takes without a copy.
// Handles are kept, so that a step whose buffers lie where the last one's did makes none.
#include "core/matmul.h"

#include <array>
#include <cinttypes>
#include <cstring>
#include <functional>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "core/gemm.h"
#include "core/libtorch.h"

namespace llavasharp::core {
namespace {

// m, n, k of a product, and its operands as a [m,k] and b [k,n] by strides.
struct Product {
  const char* name;
  int64_t m, n, k;
  bool transpose_a, transpose_b;
};

// What a borrowing tensor is made of: data, sizes and strides.
struct HandleKey {
  const void* data;
  std::array<int64_t, 4> layout;
  bool operator==(const HandleKey&) const = default;
};

struct HashHandleKey {
  size_t operator()(const HandleKey& key) const {
    size_t hash = std::hash<const void*>{}(key.data);
    for (const int64_t part : key.layout) {
      hash = (hash ^ static_cast<size_t>(part)) * 0x9E3779B97F4A7C15ULL;
      hash ^= hash >> 29U;
    }
    return hash;
  }
};

// A handle owns no memory, so one whose memory has gone is only forgotten some time.
constexpr size_t kHandlesMax = 16384;

using Handles = std::unordered_map<HandleKey, Tensor, HashHandleKey>;

Handles& handles() {
  thread_local Handles kept;
  return kept;
}

AtenTensorHandle borrow(Handles& kept, const View& view, bool transposed) {
  std::array<int64_t, 2> sizes{view.rows, view.cols};
  std::array<int64_t, 2> strides{view.stride, 1};
  if (transposed) {
    sizes = {view.cols, view.rows};
    strides = {1, view.stride};
  }
  const HandleKey key{.data = view.data, .layout = {sizes[0], sizes[1], strides[0], strides[1]}};
  if (const auto found = kept.find(key); found != kept.end()) {
    return found->second.get();
  }
  AtenTensorHandle handle = nullptr;
  const AOTITorchError error = aoti_torch_create_tensor_from_blob(
      view.data, 2, sizes.data(), strides.data(), 0, aoti_torch_dtype_float32(),
      aoti_torch_device_type_cpu(), 0, &handle);
  if (error != 0 || handle == nullptr) {
    fail(LLV_DEVICE, "libtorch refused a [%" PRId64 ", %" PRId64 "] view (status %d)", sizes[0],
         sizes[1], error);
  }
  Tensor owned(handle);
  kept.emplace(key, std::move(owned));
  return handle;
}

void check_view(const char* product, const char* operand, const View& view) {
  if (view.dtype != DType::kFloat32) {
    fail(LLV_UNSUPPORTED, "%s: %s has dtype %d, only float32 is computed", product, operand,
         static_cast<int>(view.dtype));
  }
  const bool bad_stride = view.rows > 1 && view.stride < view.cols;
  const bool null_data = view.data == nullptr && view.rows > 0 && view.cols > 0;
  if (view.rows < 0 || view.cols < 0 || bad_stride || null_data) {
    fail(LLV_SHAPE,
         "%s: %s is not a matrix: [%" PRId64 ", %" PRId64 "] with stride %" PRId64 " at %p",
         product, operand, view.rows, view.cols, view.stride, view.data);
  }
}

void zero(const View& out) {
  for (int64_t row = 0; row < out.rows; ++row) {
    std::memset(out.row(row), 0, static_cast<size_t>(out.cols) * sizeof(float));
  }
}

void multiply_by_libtorch(const Product& product, const View& out, const View& a, const View& b,
                          Accumulate accumulate) {
  Handles& kept = handles();
  if (kept.size() + 3 > kHandlesMax) {
    kept.clear();
  }
  const AtenTensorHandle out_tensor = borrow(kept, out, false);
  const AtenTensorHandle a_tensor = borrow(kept, a, product.transpose_a);
  const AtenTensorHandle b_tensor = borrow(kept, b, product.transpose_b);
  const AOTITorchError error =
      accumulate == Accumulate::kYes
          ? aoti_torch_cpu_addmm_out(out_tensor, out_tensor, a_tensor, b_tensor, 1.0, 1.0)
          : aoti_torch_cpu_mm_out(out_tensor, a_tensor, b_tensor);
  if (error != 0) {
    fail(LLV_DEVICE,
         "%s failed in libtorch (status %d): m %" PRId64 ", n %" PRId64 ", k %" PRId64
         "; its reason is on stderr",
         product.name, error, product.m, product.n, product.k);
  }
}

void multiply(const Product& product, const View& out, const View& a, const View& b,
              Accumulate accumulate) {
  check_view(product.name, "out", out);
  check_view(product.name, "a", a);
  check_view(product.name, "b", b);
  const int64_t b_k = product.transpose_b ? b.cols : b.rows;
  if (b_k != product.k || out.rows != product.m || out.cols != product.n) {
    fail(LLV_SHAPE,
         "%s: out [%" PRId64 ", %" PRId64 "] does not fit a [%" PRId64 ", %" PRId64
         "] and b [%" PRId64 ", %" PRId64 "]",
         product.name, out.rows, out.cols, a.rows, a.cols, b.rows, b.cols);
  }
  if (product.m == 0 || product.n == 0) {
    return;
  }
  if (product.k == 0) {
    if (accumulate == Accumulate::kNo) {
      zero(out);
    }
    return;
  }
  if (gemm_pays(product.m, product.n, product.k)) {
    gemm({.out = out,
          .a = a,
          .b = b,
          .transpose_a = product.transpose_a,
          .transpose_b = product.transpose_b,
          .accumulate = accumulate == Accumulate::kYes});
    return;
  }
  multiply_by_libtorch(product, out, a, b, accumulate);
}

}  // namespace

void matmul_nt(View out, View a, View b, Accumulate accumulate) {
  multiply({.name = "matmul_nt",
            .m = a.rows,
            .n = b.rows,
            .k = a.cols,
            .transpose_a = false,
            .transpose_b = true},
           out, a, b, accumulate);
}

void matmul_nn(View out, View a, View b, Accumulate accumulate) {
  multiply({.name = "matmul_nn",
            .m = a.rows,
            .n = b.cols,
            .k = a.cols,
            .transpose_a = false,
            .transpose_b = false},
           out, a, b, accumulate);
}

void matmul_tn(View out, View a, View b, Accumulate accumulate) {
  multiply({.name = "matmul_tn",
            .m = a.cols,
            .n = b.cols,
            .k = a.rows,
            .transpose_a = true,
            .transpose_b = false},
           out, a, b, accumulate);
}

void matmul_by_libtorch(View out, View a, bool transpose_a, View b, bool transpose_b,
                        Accumulate accumulate) {
  const Product product{.name = "matmul_by_libtorch",
                        .m = out.rows,
                        .n = out.cols,
                        .k = transpose_a ? a.rows : a.cols,
                        .transpose_a = transpose_a,
                        .transpose_b = transpose_b};
  multiply_by_libtorch(product, out, a, b, accumulate);
}

}  // namespace llavasharp::core
