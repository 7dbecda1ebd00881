#include "backend/quantization.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace llavasharp::backend {
namespace {

// Quantiles of a normal distribution, with an exact zero.
constexpr std::array<float, 16> kNf4{
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

// A sign, and twelfths: 0, 1/16, 8, 12, 4, 6, 2, 3.
constexpr std::array<float, 16> kFp4{
    0.0F,  0.0625F / 12,  8.0F / 12,  1.0F,  4.0F / 12,  0.5F,  2.0F / 12,  0.25F,
    -0.0F, -0.0625F / 12, -8.0F / 12, -1.0F, -4.0F / 12, -0.5F, -2.0F / 12, -0.25F,
};

// For each exponent i of seven, 2^i means of neighbours among 2^i + 1 even steps from 0.1 to 1,
// times 10^(i - 6), with both signs; and 0 and 1.
std::array<float, 256> make_scale_levels() {
  constexpr int kExponents = 7;
  std::array<float, 256> levels{};
  size_t next = 0;
  levels.at(next++) = 0.0F;
  levels.at(next++) = 1.0F;
  for (int exponent = 0; exponent < kExponents; ++exponent) {
    const int steps = 1 << exponent;
    const auto power = static_cast<float>(std::pow(10.0, exponent - (kExponents - 1)));
    const auto boundary = [&](int step) { return static_cast<float>(0.1 + 0.9 * step / steps); };
    for (int i = 0; i < steps; ++i) {
      const float mean = (boundary(i) + boundary(i + 1)) / 2;
      levels.at(next++) = power * mean;
      levels.at(next++) = -power * mean;
    }
  }
  std::ranges::sort(levels);
  return levels;
}

// Between two levels: the nearer, the lower where it is half-way.
uint8_t nearest_scale(float value) {
  const std::array<float, 256>& levels = scale_levels();
  const auto above = std::ranges::lower_bound(levels, value);
  if (above == levels.begin()) {
    return 0;
  }
  const auto at = static_cast<size_t>(above - levels.begin());
  if (at == levels.size()) {
    return 255;
  }
  const bool up = levels.at(at) == value || value > (levels.at(at - 1) + levels.at(at)) * 0.5F;
  return static_cast<uint8_t>(up ? at : at - 1);
}

}  // namespace

const std::array<float, 16>& four_bit_levels(FourBitLevels levels) {
  return levels == FourBitLevels::kNf4 ? kNf4 : kFp4;
}

const std::array<float, 256>& scale_levels() {
  static const std::array<float, 256> kLevels = make_scale_levels();
  return kLevels;
}

void expand_scales(const FourBits& from, int64_t blocks, int64_t begin, int64_t end,
                   float* scales) {
  if (from.scales != nullptr) {
    std::copy(from.scales + begin, from.scales + end, scales);
    return;
  }
  const std::array<float, 256>& levels = scale_levels();
  const float magnitude = from.magnitudes[begin / kScaleBlock];
  const float mean = from.magnitudes[scale_magnitudes(blocks) - 1];
  for (int64_t block = begin; block < end; ++block) {
    scales[block - begin] = levels[from.scale_codes[block]] * magnitude + mean;
  }
}

void quantize_scales(std::span<const float> scales, uint8_t* codes, float* magnitudes) {
  double sum = 0;
  for (const float scale : scales) {
    sum += static_cast<double>(scale);
  }
  const float mean =
      scales.empty() ? 0.0F : static_cast<float>(sum / static_cast<double>(scales.size()));
  const auto count = static_cast<int64_t>(scales.size());
  for (int64_t begin = 0; begin < count; begin += kScaleBlock) {
    const std::span<const float> part = scales.subspan(
        static_cast<size_t>(begin), static_cast<size_t>(std::min(kScaleBlock, count - begin)));
    float most = 0;
    for (const float scale : part) {
      most = std::max(most, std::abs(scale - mean));
    }
    const float inverse = most == 0 ? 0 : 1 / most;
    for (size_t i = 0; i < part.size(); ++i) {
      codes[begin + static_cast<int64_t>(i)] = nearest_scale((part[i] - mean) * inverse);
    }
    magnitudes[begin / kScaleBlock] = most;
  }
  magnitudes[scale_magnitudes(count) - 1] = mean;
}

}  // namespace llavasharp::backend
