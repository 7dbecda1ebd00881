// Weights in fewer bits, and back. What comes back is exact: one product of a level and a scale.
#include <algorithm>
#include <array>
#include <cstring>

#include "backend/cpu/checks.h"
#include "backend/cpu/cpu_kernels.h"
#include "core/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/quantize.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "backend/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace llavasharp::backend::cpu::HWY_NAMESPACE {

using Bits = hn::RebindToUnsigned<Floats>;
using Numbers = hn::RebindToSigned<Floats>;

constexpr int64_t kBlockBytes = kFourBitBlock / 2;
// Of scales that share a magnitude, so that a part never begins within one.
constexpr int64_t kPartBlocks = kScaleBlock;
constexpr float kInt8Most = 127.0F;
constexpr float kInt8Inverse = 0.007874015718698502F;

// The codes of a block's N elements at once: [first of byte 0, second of byte 0, first of byte 1…].
HWY_INLINE hn::Vec<Numbers> CodesAt(const uint8_t* bytes) {
  const hn::Rebind<uint8_t, Floats> each;
  const hn::Repartition<uint16_t, decltype(each)> pair;
  const hn::Rebind<uint8_t, decltype(pair)> packed;
  const auto both = hn::PromoteTo(pair, hn::LoadU(packed, bytes));
  const auto first = hn::ShiftRight<4>(both);
  const auto second = hn::ShiftLeft<8>(hn::And(both, hn::Set(pair, 15)));
  return hn::PromoteTo(Numbers(), hn::BitCast(each, hn::Or(first, second)));
}

// levels[codes], codes 0 … 15.
HWY_INLINE Float LevelsOf(const float* levels, hn::Vec<Numbers> codes) {
  const Floats d;
  if constexpr (hn::MaxLanes(Floats()) == 16 && !HWY_HAVE_SCALABLE) {
    return hn::TableLookupLanes(hn::LoadU(d, levels), hn::IndicesFromVec(d, codes));
  } else if constexpr (hn::MaxLanes(Floats()) == 8 && !HWY_HAVE_SCALABLE) {
    const auto places = hn::IndicesFromVec(d, hn::And(codes, hn::Set(Numbers(), 7)));
    const auto upper = hn::RebindMask(d, hn::Gt(codes, hn::Set(Numbers(), 7)));
    return hn::IfThenElse(upper, hn::TableLookupLanes(hn::LoadU(d, levels + 8), places),
                          hn::TableLookupLanes(hn::LoadU(d, levels), places));
  } else {
    return hn::GatherIndex(d, levels, codes);
  }
}

void DecodeFourBits(float* out, const FourBits& from, int64_t count) {
  const Floats d;
  const int64_t lanes = LaneCount();
  const float* levels = four_bit_levels(from.levels).data();
  const int64_t blocks = four_bit_blocks(count);
  core::parallel_for((blocks + kPartBlocks - 1) / kPartBlocks, 1, [&](int64_t first, int64_t last) {
    std::array<float, kPartBlocks> scales;
    for (int64_t part = first; part < last; ++part) {
      const int64_t begin = part * kPartBlocks;
      const int64_t end = std::min(begin + kPartBlocks, blocks);
      expand_scales(from, blocks, begin, end, scales.data());
      for (int64_t block = begin; block < end; ++block) {
        const float scale = scales[static_cast<size_t>(block - begin)];
        const uint8_t* codes = from.codes + block * kBlockBytes;
        float* y = out + block * kFourBitBlock;
        const int64_t n = std::min(kFourBitBlock, count - block * kFourBitBlock);
        int64_t i = 0;
        for (; lanes > 1 && i + lanes <= n; i += lanes) {
          hn::StoreU(hn::Mul(LevelsOf(levels, CodesAt(codes + i / 2)), Constant(scale)), d, y + i);
        }
        for (; i < n; ++i) {
          const int code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
          y[i] = levels[code] * scale;
        }
      }
    }
  });
}

HWY_INLINE float LargestMagnitude(const float* x, int64_t count) {
  auto most = hn::Zero(Floats());
  for (int64_t i = 0; i < count; i += LaneCount()) {
    const auto value = hn::Abs(LoadUpTo(x + i, count - i));
    most = hn::IfThenElse(hn::IsNaN(value), value, hn::Max(most, value));  // A NaN stays.
    if (HWY_UNLIKELY(!hn::AllFalse(Floats(), hn::IsNaN(most)))) {
      return hn::GetLane(hn::Div(hn::Zero(Floats()), hn::Zero(Floats())));
    }
  }
  return MaxLane(most);
}

// How a magnitude, or in NF4 a value, becomes a code: as many `middles` as are below it, in order.
struct Ladder {
  std::array<float, 15> middles;
  std::array<uint8_t, 16> codes;
  int64_t steps;
};

Ladder LadderOf(FourBitLevels kind) {
  const std::array<float, 16>& levels = four_bit_levels(kind);
  const size_t count = kind == FourBitLevels::kNf4 ? 16 : 8;
  Ladder ladder{.middles = {}, .codes = {}, .steps = static_cast<int64_t>(count) - 1};
  for (size_t i = 0; i < count; ++i) {
    ladder.codes[i] = static_cast<uint8_t>(i);
  }
  std::sort(ladder.codes.begin(), ladder.codes.begin() + static_cast<std::ptrdiff_t>(count),
            [&](uint8_t a, uint8_t b) { return levels[a] < levels[b]; });
  for (size_t i = 0; i + 1 < count; ++i) {
    const auto low = static_cast<double>(levels[ladder.codes[i]]);
    const auto high = static_cast<double>(levels[ladder.codes[i + 1]]);
    ladder.middles[i] = static_cast<float>((low + high) / 2);
  }
  return ladder;
}

// One block: n ≤ 64 elements.
void EncodeBlock(uint8_t* codes, const float* x, int64_t n, float inverse, const Ladder& ladder,
                 bool by_magnitude) {
  HWY_ALIGN std::array<int32_t, kFourBitBlock> rungs{};
  for (int64_t i = 0; i <= n && i < kFourBitBlock; i += LaneCount()) {
    auto value = hn::Mul(LoadUpTo(x + i, std::max<int64_t>(n - i, 0)), Constant(inverse));
    value = by_magnitude ? hn::Abs(value) : value;
    auto rung = hn::Zero(Numbers());
    for (int64_t step = 0; step < ladder.steps; ++step) {
      const auto above = hn::Gt(value, Constant(ladder.middles[static_cast<size_t>(step)]));
      rung = hn::Sub(rung, hn::BitCast(Numbers(), hn::VecFromMask(Floats(), above)));
    }
    hn::Store(rung, Numbers(), rungs.data() + i);
  }
  const auto code = [&](int64_t i) {  // Behind the last element a zero's.
    const uint8_t found = ladder.codes[static_cast<size_t>(rungs[static_cast<size_t>(i)])];
    return static_cast<uint8_t>(by_magnitude && i < n && x[i] < 0 ? found + 8 : found);
  };
  for (int64_t i = 0; i < n; i += 2) {
    codes[i / 2] = static_cast<uint8_t>(code(i) << 4 | code(i + 1));
  }
}

void EncodeFourBits(uint8_t* codes, float* scales, const float* x, int64_t count,
                    FourBitLevels kind) {
  const Ladder ladder = LadderOf(kind);
  core::parallel_for(four_bit_blocks(count), kPartBlocks, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const float* part = x + block * kFourBitBlock;
      const int64_t n = std::min(kFourBitBlock, count - block * kFourBitBlock);
      const float most = LargestMagnitude(part, n);
      scales[block] = most;
      EncodeBlock(codes + block * kBlockBytes, part, n, most == 0 ? 0 : 1 / most, ladder,
                  kind == FourBitLevels::kFp4);
    }
  });
}

void EncodeInt8(int8_t* codes, float* scales, const View& x) {
  core::parallel_for(x.rows, row_grain(x.cols), [&](int64_t begin, int64_t end) {
    const hn::Rebind<int8_t, Floats> stored;
    HWY_ALIGN std::array<int8_t, hn::MaxLanes(Floats())> part;
    for (int64_t row = begin; row < end; ++row) {
      const float most = LargestMagnitude(x.row(row), x.cols);
      scales[row] = most;
      const auto factor = Constant(most == 0 ? 0 : kInt8Most / most);
      for (int64_t i = 0; i < x.cols; i += LaneCount()) {
        const auto value = hn::Mul(LoadUpTo(x.row(row) + i, x.cols - i), factor);
        hn::Store(hn::DemoteTo(stored, hn::NearestInt(value)), stored, part.data());
        std::memcpy(codes + row * x.cols + i, part.data(),
                    static_cast<size_t>(std::min(LaneCount(), x.cols - i)));
      }
    }
  });
}

void DecodeInt8(const View& y, const int8_t* codes, const float* scales) {
  core::parallel_for(y.rows, row_grain(y.cols), [&](int64_t begin, int64_t end) {
    const hn::Rebind<int8_t, Floats> stored;
    const int64_t lanes = LaneCount();
    for (int64_t row = begin; row < end; ++row) {
      const int8_t* from = codes + row * y.cols;
      float* out = y.row(row);
      const auto scale = Constant(scales[row]);
      int64_t i = 0;
      for (; i + lanes <= y.cols; i += lanes) {
        const auto code =
            hn::ConvertTo(Floats(), hn::PromoteTo(Numbers(), hn::LoadU(stored, from + i)));
        hn::StoreU(hn::Mul(hn::Mul(code, scale), Constant(kInt8Inverse)), Floats(), out + i);
      }
      for (; i < y.cols; ++i) {
        out[i] = static_cast<float>(from[i]) * scales[row] * kInt8Inverse;
      }
    }
  });
}

// The upper half of the bits, to nearest even; a NaN stays one.
HWY_INLINE hn::Vec<Bits> NearestBFloat16(Float value) {
  const Bits d;
  const auto bits = hn::BitCast(d, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1));
  const auto rounded = hn::Add(hn::Add(bits, hn::Set(d, 0x7FFF)), odd);
  const auto quiet = hn::Or(bits, hn::Set(d, 0x400000));
  return hn::ShiftRight<16>(hn::IfThenElse(hn::RebindMask(d, hn::IsNaN(value)), quiet, rounded));
}

void NarrowPart(uint16_t* out, const float* x, int64_t count) {
  const hn::Rebind<uint16_t, Floats> stored;
  HWY_ALIGN std::array<uint16_t, hn::MaxLanes(Floats())> part;
  for (int64_t i = 0; i < count; i += LaneCount()) {
    const auto half = NearestBFloat16(LoadUpTo(x + i, count - i));
    hn::Store(hn::DemoteTo(stored, hn::BitCast(Numbers(), half)), stored, part.data());
    std::memcpy(out + i, part.data(),
                static_cast<size_t>(std::min(LaneCount(), count - i)) * sizeof(uint16_t));
  }
}

void RoundPart(float* out, const float* x, int64_t count) {
  for (int64_t i = 0; i < count; i += LaneCount()) {
    const auto half = NearestBFloat16(LoadUpTo(x + i, count - i));
    StoreUpTo(hn::BitCast(Floats(), hn::ShiftLeft<16>(half)), out + i, count - i);
  }
}

}  // namespace llavasharp::backend::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace llavasharp::backend::cpu {

HWY_EXPORT(DecodeFourBits);
HWY_EXPORT(EncodeFourBits);
HWY_EXPORT(DecodeInt8);
HWY_EXPORT(EncodeInt8);
HWY_EXPORT(NarrowPart);
HWY_EXPORT(RoundPart);

namespace {
constexpr int64_t kPart = 64 * 1024;
}  // namespace

void encode_four_bits(uint8_t* codes, float* scales, const float* x, int64_t count,
                      FourBitLevels levels) {
  HWY_DYNAMIC_DISPATCH(EncodeFourBits)(codes, scales, x, count, levels);
}

void decode_four_bits(float* y, const FourBits& from, int64_t count) {
  HWY_DYNAMIC_DISPATCH(DecodeFourBits)(y, from, count);
}

void encode_int8(int8_t* codes, float* scales, View x) {
  HWY_DYNAMIC_DISPATCH(EncodeInt8)(codes, scales, x);
}

void decode_int8(View y, const int8_t* codes, const float* scales) {
  HWY_DYNAMIC_DISPATCH(DecodeInt8)(y, codes, scales);
}

void narrow_bfloat16(uint16_t* y, const float* x, int64_t count) {
  core::parallel_for(count, kPart, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(NarrowPart)(y + begin, x + begin, end - begin);
  });
}

void round_bfloat16(float* y, const float* x, int64_t count) {
  core::parallel_for(count, kPart, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(RoundPart)(y + begin, x + begin, end - begin);
  });
}

}  // namespace llavasharp::backend::cpu
#endif
