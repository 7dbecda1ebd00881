// The part of libtorch's stable C ABI that this engine uses, declared by hand: the packages of
// libtorch carry no headers. One binary runs on any libtorch from 2.10 on.
//
// Every function returns a status. In 2.10 a failure leaves no text but what libtorch writes to
// stderr, so callers check shapes first, and report the call and its values themselves.
#pragma once

#include <cstdint>
#include <memory>

extern "C" {

struct AtenTensorOpaque;
using AtenTensorHandle = AtenTensorOpaque*;
using AOTITorchError = int32_t;  // 0 is success.

// ---- what the library is
// The version in bytes: major, minor, patch, then zeros, from the highest byte on.
uint64_t aoti_torch_abi_version();
int32_t aoti_torch_dtype_float32();
int32_t aoti_torch_device_type_cpu();

// ---- tensors
AOTITorchError aoti_torch_empty_strided(int64_t rank, const int64_t* sizes, const int64_t* strides,
                                        int32_t dtype, int32_t device_type, int32_t device_index,
                                        AtenTensorHandle* out_tensor);
// Does not own `data`, which must outlive the tensor.
AOTITorchError aoti_torch_create_tensor_from_blob(void* data, int64_t rank, const int64_t* sizes,
                                                  const int64_t* strides, int64_t storage_offset,
                                                  int32_t dtype, int32_t device_type,
                                                  int32_t device_index,
                                                  AtenTensorHandle* out_tensor);
AOTITorchError aoti_torch_get_data_ptr(AtenTensorHandle tensor, void** out_data);
AOTITorchError aoti_torch_delete_tensor_object(AtenTensorHandle tensor);

// ---- products: out = a · b, and out = beta · self + alpha · a · b (self may be out)
AOTITorchError aoti_torch_cpu_mm_out(AtenTensorHandle out, AtenTensorHandle a, AtenTensorHandle b);
AOTITorchError aoti_torch_cpu_addmm_out(AtenTensorHandle out, AtenTensorHandle self,
                                        AtenTensorHandle a, AtenTensorHandle b, double beta,
                                        double alpha);

// ---- the thread pool
AOTITorchError torch_parallel_for(int64_t begin, int64_t end, int64_t grain,
                                  void (*body)(int64_t begin, int64_t end, void* context),
                                  void* context);
AOTITorchError torch_get_num_threads(uint32_t* out_threads);
}

namespace at {
// The one C++ name that is used: the C ABI has no setter. Its signature has not changed since 1.0;
// weak, so that a libtorch without it still loads and set_threads says so.
__attribute__((weak)) void set_num_threads(int threads);
}  // namespace at

namespace llavasharp::core {

struct DeleteTensor {
  void operator()(AtenTensorHandle tensor) const noexcept {
    static_cast<void>(aoti_torch_delete_tensor_object(tensor));
  }
};
// Owns a handle (not always the memory behind it).
using Tensor = std::unique_ptr<AtenTensorOpaque, DeleteTensor>;

// The version of the libtorch that was loaded, such as "2.10.0". The text is static.
[[nodiscard]] const char* libtorch_version();

}  // namespace llavasharp::core
