// The formats of fewer bits against definitions taken literally: all levels are tried, in double.
#include <bit>

#include "backend/testing.h"

namespace llavasharp::backend::testing {
namespace {

std::vector<float> normal(int64_t count, uint32_t seed, float scale) {
  Matrix matrix(1, count, 0);
  return matrix.randomise(seed, scale).values();
}

// The code whose level is nearest; the first of those where several are.
int nearest(double value, const std::array<float, 16>& levels) {
  int best = 0;
  for (int code = 1; code < 16; ++code) {
    const auto distance = [&](int at) {
      return std::abs(value - static_cast<double>(levels.at(static_cast<size_t>(at))));
    };
    best = distance(code) < distance(best) ? code : best;
  }
  return best;
}

TEST(FourBits, AreTheNearestLevelOfTheBlock) {
  const Kernels& kernels = cpu_kernels();
  on_every_target([&] {
    for (const FourBitLevels kind : {FourBitLevels::kNf4, FourBitLevels::kFp4}) {
      const std::array<float, 16>& levels = four_bit_levels(kind);
      for (const int64_t count : {1, 2, 63, 64, 65, 333, 40'001}) {
        std::vector<float> x = normal(count, static_cast<uint32_t>(count), 0.02F);
        if (count > 300) {
          std::fill(x.begin() + 64, x.begin() + 128, 0.0F);
          x[130] = 0;
        }
        std::vector<uint8_t> codes(static_cast<size_t>((count + 1) / 2));
        std::vector<float> scales(static_cast<size_t>(four_bit_blocks(count)));
        kernels.encode_four_bits(codes.data(), scales.data(), x.data(), count, kind);
        std::vector<float> y(x.size(), 99.0F);
        kernels.decode_four_bits(
            y.data(), {.levels = kind, .codes = codes.data(), .scales = scales.data()}, count);
        for (size_t i = 0; i < x.size(); ++i) {
          const size_t block = i / 64 * 64;
          float most = 0;
          for (size_t j = block; j < std::min(block + 64, x.size()); ++j) {
            most = std::max(most, std::abs(x[j]));
          }
          ASSERT_EQ(scales[i / 64], most);
          const float unit = most == 0 ? 0 : x[i] * (1 / most);
          const int code = nearest(static_cast<double>(unit), levels);
          const int given = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
          // A zero has two codes in FP4, with the same value.
          ASSERT_EQ(levels.at(static_cast<size_t>(given)), levels.at(static_cast<size_t>(code)))
              << i << " of " << count;
          ASSERT_EQ(y[i], levels.at(static_cast<size_t>(given)) * most);
        }
      }
    }
  });
}

TEST(FourBits, GiveEachLevelItsOwnCode) {
  std::array<uint8_t, 8> codes{};
  float scale = 0;
  cpu_kernels().encode_four_bits(codes.data(), &scale, four_bit_levels(FourBitLevels::kNf4).data(),
                                 16, FourBitLevels::kNf4);
  EXPECT_EQ(codes, (std::array<uint8_t, 8>{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}));
  cpu_kernels().encode_four_bits(codes.data(), &scale, four_bit_levels(FourBitLevels::kFp4).data(),
                                 16, FourBitLevels::kFp4);
  // Its negative zero is a zero.
  EXPECT_EQ(codes, (std::array<uint8_t, 8>{0x01, 0x23, 0x45, 0x67, 0x09, 0xab, 0xcd, 0xef}));
  const std::array<float, 2> between{1.0F, (0.5626170039176941F + 0.7229568362236023F) / 2};
  cpu_kernels().encode_four_bits(codes.data(), &scale, between.data(), 2, FourBitLevels::kNf4);
  EXPECT_EQ(codes[0], 0xfd);  // Half-way: the lower.
}

TEST(FourBits, HaveScalesInBytes) {
  EXPECT_EQ(scale_levels()[0], -0.992968738079071F);
  EXPECT_EQ(scale_levels()[127], 0.0F);
  EXPECT_EQ(scale_levels()[255], 1.0F);
  constexpr int64_t kBlocks = 600;
  const std::vector<float> x = normal(kBlocks * 64, 5, 0.03F);
  std::vector<uint8_t> codes(x.size() / 2);
  std::vector<float> scales(kBlocks);
  cpu_kernels().encode_four_bits(codes.data(), scales.data(), x.data(), kBlocks * 64,
                                 FourBitLevels::kNf4);
  std::vector<uint8_t> scale_codes(kBlocks);
  std::vector<float> magnitudes(static_cast<size_t>(scale_magnitudes(kBlocks)));
  ASSERT_EQ(magnitudes.size(), 4U);
  quantize_scales(scales, scale_codes.data(), magnitudes.data());
  const FourBits doubled{
      .codes = codes.data(), .scale_codes = scale_codes.data(), .magnitudes = magnitudes.data()};
  on_every_target([&] {
    std::vector<float> y(x.size());
    cpu_kernels().decode_four_bits(y.data(), doubled, kBlocks * 64);
    for (size_t block = 0; block < kBlocks; ++block) {
      const volatile float product =
          scale_levels().at(scale_codes[block]) * magnitudes[block / 256];
      const float scale = product + magnitudes[3];
      // 256 levels, the closest pairs of which are those around zero.
      EXPECT_NEAR(scale, scales[block], 0.0155F * magnitudes[block / 256]);
      for (size_t i = 64 * block; i < 64 * block + 64; i += 7) {
        const int code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
        ASSERT_EQ(y[i], four_bit_levels(FourBitLevels::kNf4).at(static_cast<size_t>(code)) * scale);
      }
    }
  });
}

TEST(Int8, IsTheNearestOf127StepsOfTheRow) {
  const Kernels& kernels = cpu_kernels();
  on_every_target([&] {
    for (const int64_t cols : {1, 15, 37, 128}) {
      Matrix x(5, cols);
      x.randomise(static_cast<uint32_t>(cols), 0.1F);
      for (int64_t i = 0; i < cols; ++i) {
        x.at(3, i) = 0;
      }
      std::vector<int8_t> codes(static_cast<size_t>(5 * cols));
      std::vector<float> scales(5);
      kernels.encode_int8(codes.data(), scales.data(), x.view());
      Matrix y(5, cols);
      kernels.decode_int8(y.view(), codes.data(), scales.data());
      EXPECT_TRUE(y.gaps_untouched());
      for (int64_t row = 0; row < 5; ++row) {
        double most = 0;
        for (int64_t i = 0; i < cols; ++i) {
          most = std::max(most, std::abs(x(row, i)));
        }
        ASSERT_EQ(static_cast<double>(scales[static_cast<size_t>(row)]), most);
        for (int64_t i = 0; i < cols; ++i) {
          const double step = most / 127;
          const auto code = static_cast<double>(codes[static_cast<size_t>(row * cols + i)]);
          EXPECT_LE(std::abs(code * step - x(row, i)), 0.5000001 * step);
          EXPECT_NEAR(y(row, i), code * step, 2e-7 * most);
        }
      }
    }
  });
}

// Every upper half of a float with every kind of lower half.
TEST(BFloat16, IsTheNearestToEven) {
  on_every_target([] {
    std::vector<float> x;
    std::vector<uint16_t> expected;
    for (uint32_t upper = 0; upper < 0x10000; ++upper) {
      for (const uint32_t lower : {0U, 1U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
        const uint32_t bits = upper << 16U | lower;
        x.push_back(std::bit_cast<float>(bits));
        const bool up = lower > 0x8000 || (lower == 0x8000 && upper % 2 == 1);
        expected.push_back(
            static_cast<uint16_t>(std::isnan(x.back()) ? upper | 0x40U : upper + (up ? 1 : 0)));
      }
    }
    const auto count = static_cast<int64_t>(x.size());
    std::vector<uint16_t> narrow(x.size());
    cpu_kernels().narrow_bfloat16(narrow.data(), x.data(), count);
    EXPECT_TRUE(narrow == expected);
    cpu_kernels().round_bfloat16(x.data(), x.data(), count);
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(x[i]), static_cast<uint32_t>(expected[i]) << 16U) << i;
    }
  });
}

}  // namespace
}  // namespace llavasharp::backend::testing
