// Dropout whose mask is a pure function of (key, row, column), so that backward replays it. Integer
// arithmetic alone decides, so every instruction set drops the same elements.
#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/error.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/dropout.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

using Bits = hn::RebindToUnsigned<Floats>;
using Numbers = hn::RebindToSigned<Floats>;

// 31 random bits: two rounds of MurmurHash3's 32-bit finaliser, with half of the row's key before
// each.
HWY_INLINE hn::Vec<Numbers> MaskBits(hn::Vec<Bits> col, uint64_t row_key) {
  const Bits d;
  auto x = hn::Xor(hn::Mul(col, hn::Set(d, 0x9E3779B1U)),
                   hn::Set(d, static_cast<uint32_t>(row_key & 0xFFFFFFFFU)));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<16>(x)), hn::Set(d, 0x85EBCA6BU));
  x = hn::Xor(x, hn::ShiftRight<13>(x));
  x = hn::Xor(x, hn::Set(d, static_cast<uint32_t>(row_key >> 32U)));
  x = hn::Mul(x, hn::Set(d, 0xC2B2AE35U));
  x = hn::Xor(x, hn::ShiftRight<16>(x));
  x = hn::Mul(x, hn::Set(d, 0x85EBCA6BU));
  return hn::BitCast(Numbers(), hn::ShiftRight<1>(hn::Xor(x, hn::ShiftRight<13>(x))));
}

void Dropout(const View& y, const View& x, uint64_t key, int32_t threshold, float scale,
             bool accumulate) {
  const Floats d;
  const Bits bits;
  core::parallel_for(x.rows, row_grain(x.cols), [&](int64_t begin, int64_t end) {
    const auto factor = Constant(scale);
    const auto limit = hn::Set(Numbers(), threshold);
    for (int64_t row = begin; row < end; ++row) {
      const uint64_t row_key = mix_keys(key, static_cast<uint64_t>(row), 0);
      const float* in = x.row(row);
      float* out = y.row(row);
      auto col = hn::Iota(bits, 0);
      for (int64_t i = 0; i < x.cols; i += LaneCount()) {
        const int64_t n = x.cols - i;
        const auto dropped = hn::Lt(MaskBits(col, row_key), limit);
        auto value =
            hn::IfThenZeroElse(hn::RebindMask(d, dropped), hn::Mul(LoadUpTo(in + i, n), factor));
        if (accumulate) {
          value = hn::Add(LoadUpTo(out + i, n), value);
        }
        StoreUpTo(value, out + i, n);
        col = hn::Add(col, hn::Set(bits, static_cast<uint32_t>(LaneCount())));
      }
    }
  });
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(Dropout);

void dropout(View y, View x, uint64_t key, float probability, bool accumulate) {
  if (!(probability >= 0.0F && probability < 1.0F)) {
    core::fail(LLV_INVALID, "dropout: probability %g: must be 0 or more and below 1",
               static_cast<double>(probability));
  }
  require_shape("dropout", "y", y, x.rows, x.cols);
  require_shape("dropout", "x", x, x.rows, x.cols);
  const double dropped = static_cast<double>(probability);
  HWY_DYNAMIC_DISPATCH(Dropout)(y, x, key, static_cast<int32_t>(dropped * 0x1.0p31),
                                static_cast<float>(1.0 / (1.0 - dropped)), accumulate);
}

}  // namespace llavasharp::backend::cpu
#endif
