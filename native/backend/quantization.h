// Formats of four bits an element, as bitsandbytes stores them (Dettmers et al. 2023, QLoRA).
//
// Elements in row-major order, two a byte, the first in the upper half. Each block of 64 has a
// scale, its largest magnitude; an element is its code's level times that. The scales are floats,
// or bytes in turn ("double quantisation"): what is left of them without their mean, as a place
// among 256 levels times the largest magnitude of its block of 256 (Dettmers et al. 2022, 8-bit
// optimizers, section 2.2: the dynamic map).
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace llavasharp::backend {

enum class FourBitLevels : int32_t { kNf4 = 0, kFp4 = 1 };

inline constexpr int64_t kFourBitBlock = 64;
inline constexpr int64_t kScaleBlock = 256;

// Blocks of so many elements.
[[nodiscard]] constexpr int64_t four_bit_blocks(int64_t count) {
  return (count + kFourBitBlock - 1) / kFourBitBlock;
}
// Magnitudes of so many scales, and behind them the mean.
[[nodiscard]] constexpr int64_t scale_magnitudes(int64_t blocks) {
  return (blocks + kScaleBlock - 1) / kScaleBlock + 1;
}

// The value of each code, in units of the scale.
[[nodiscard]] const std::array<float, 16>& four_bit_levels(FourBitLevels levels);
// The 256 levels of scales, ascending.
[[nodiscard]] const std::array<float, 256>& scale_levels();

// A matrix as it lies in memory. Either `scales` or the other three.
struct FourBits {
  FourBitLevels levels = FourBitLevels::kNf4;
  const uint8_t* codes = nullptr;        // [⌈count / 2⌉]
  const float* scales = nullptr;         // [blocks]
  const uint8_t* scale_codes = nullptr;  // [blocks]
  const float* magnitudes = nullptr;     // [scale_magnitudes(blocks)]
};

// The scales of blocks begin … end of `blocks`, where begin is a multiple of kScaleBlock and they
// are at most as many. Each is a product and a sum, rounded both times.
void expand_scales(const FourBits& from, int64_t blocks, int64_t begin, int64_t end, float* scales);
// Scales as bytes: codes [blocks], magnitudes [scale_magnitudes(blocks)].
void quantize_scales(std::span<const float> scales, uint8_t* codes, float* magnitudes);

}  // namespace llavasharp::backend
