// Checkpoint bytes to float32. The bytes may start anywhere: they are copied to a small aligned
// block first, which stays in cache.
#include <algorithm>
#include <cstring>

#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/error.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/convert.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

constexpr int64_t kBlock = 1024;

// Converts by blocks of aligned copies; the lanes past the end are zeros.
template <class Stored>
HWY_INLINE void ConvertHalf(float* out, const uint8_t* bytes, int64_t count) {
  const Floats d;
  const hn::Rebind<Stored, Floats> stored;
  const hn::Rebind<uint16_t, Floats> raw;
  HWY_ALIGN uint16_t block[kBlock] = {};
  for (int64_t first = 0; first < count; first += kBlock) {
    const int64_t n = std::min(kBlock, count - first);
    std::memcpy(block, bytes + first * 2, static_cast<size_t>(n) * 2);
    for (int64_t i = 0; i < n; i += LaneCount()) {
      const auto value = hn::PromoteTo(d, hn::BitCast(stored, hn::Load(raw, block + i)));
      StoreUpTo(value, out + first + i, n - i);
    }
  }
}

void ConvertPart(float* out, const uint8_t* bytes, core::DType dtype, int64_t count) {
  switch (dtype) {
    case core::DType::kFloat32:
      std::memcpy(out, bytes, static_cast<size_t>(count) * sizeof(float));
      break;
    case core::DType::kFloat16:
      ConvertHalf<hwy::float16_t>(out, bytes, count);
      break;
    case core::DType::kBFloat16:
      ConvertHalf<hwy::bfloat16_t>(out, bytes, count);
      break;
    case core::DType::kFloat64:
      for (int64_t i = 0; i < count; ++i) {
        double value = 0.0;
        std::memcpy(&value, bytes + i * 8, sizeof(value));
        out[i] = static_cast<float>(value);
      }
      break;
  }
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(ConvertPart);

namespace {

int64_t element_bytes(core::DType dtype) {
  switch (dtype) {
    case core::DType::kFloat32:
      return 4;
    case core::DType::kFloat16:
    case core::DType::kBFloat16:
      return 2;
    case core::DType::kFloat64:
      return 8;
  }
  core::fail(LLV_INVALID, "convert: dtype %d is unknown", static_cast<int>(dtype));
}

}  // namespace

void convert(float* out, const void* bytes, core::DType dtype, int64_t count) {
  const int64_t size = element_bytes(dtype);
  const auto* in = static_cast<const uint8_t*>(bytes);
  core::parallel_for(count, 64 * 1024, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(ConvertPart)(out + begin, in + begin * size, dtype, end - begin);
  });
}

}  // namespace llavasharp::backend::cpu
#endif
