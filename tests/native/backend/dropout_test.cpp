// Dropout's mask: how much it drops, that it repeats, and that it depends on nothing else.
#include <algorithm>

#include "backend/testing.h"

namespace llavasharp::backend::testing {
namespace {

std::vector<bool> dropped(int64_t rows, int64_t cols, uint64_t key, float probability) {
  Matrix x(rows, cols);
  x.set(1.0F);
  cpu_kernels().dropout(x.view(), x.view(), key, probability, false);
  std::vector<bool> mask;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      mask.push_back(x(row, col) == 0.0);
    }
  }
  return mask;
}

double fraction(const std::vector<bool>& mask) {
  return static_cast<double>(std::ranges::count(mask, true)) / static_cast<double>(mask.size());
}

TEST(Dropout, DropsTheFractionAskedForInEveryRowAndColumn) {
  constexpr int64_t kSide = 700;
  for (const float p : {0.05F, 0.5F, 0.9F}) {
    const std::vector<bool> mask = dropped(kSide, kSide, 17, p);
    const double n = static_cast<double>(mask.size());
    const double deviation = std::sqrt(static_cast<double>(p) * (1.0 - static_cast<double>(p)));
    EXPECT_NEAR(fraction(mask), static_cast<double>(p), 4.5 * deviation / std::sqrt(n));
    for (int64_t line = 0; line < kSide; ++line) {
      double row = 0;
      double col = 0;
      for (int64_t i = 0; i < kSide; ++i) {
        row += mask[static_cast<size_t>(line * kSide + i)] ? 1 : 0;
        col += mask[static_cast<size_t>(i * kSide + line)] ? 1 : 0;
      }
      EXPECT_NEAR(row / kSide, static_cast<double>(p), 5.5 * deviation / std::sqrt(kSide));
      EXPECT_NEAR(col / kSide, static_cast<double>(p), 5.5 * deviation / std::sqrt(kSide));
    }
  }
}

TEST(Dropout, NeighboursAndKeysAreIndependent) {
  constexpr int64_t kSide = 500;
  const std::vector<bool> mask = dropped(kSide, kSide, 1, 0.5F);
  const double tolerance = 4.5 * 0.5 / kSide;
  const auto agreement = [&](const std::vector<bool>& other, size_t shift) {
    size_t same = 0;
    for (size_t i = shift; i < mask.size(); ++i) {
      same += mask[i] == other[i - shift] ? 1U : 0U;
    }
    return static_cast<double>(same) / static_cast<double>(mask.size() - shift);
  };
  for (const size_t shift : {1U, 2U, 16U, 500U, 501U}) {
    EXPECT_NEAR(agreement(mask, shift), 0.5, tolerance) << shift;
  }
  for (const uint64_t key : {uint64_t{0}, uint64_t{2}, uint64_t{1} << 32U, ~uint64_t{0}}) {
    EXPECT_NEAR(agreement(dropped(kSide, kSide, key, 0.5F), 0), 0.5, tolerance) << key;
  }
}

// A wider matrix begins with the narrower one's mask: vectors and their remainder agree.
TEST(Dropout, DependsOnKeyRowAndColumnAlone) {
  const std::vector<bool> wide = dropped(9, 64, 5, 0.3F);
  for (const int64_t cols : {1, 3, 17, 31, 63}) {
    const std::vector<bool> narrow = dropped(5, cols, 5, 0.3F);
    for (int64_t row = 0; row < 5; ++row) {
      for (int64_t col = 0; col < cols; ++col) {
        EXPECT_EQ(narrow[static_cast<size_t>(row * cols + col)],
                  wide[static_cast<size_t>(row * 64 + col)]);
      }
    }
  }
}

TEST(Dropout, ScalesWhatItKeepsAndAddsWhereAsked) {
  Matrix x(6, 37);
  x.randomise(3);
  Matrix y(6, 37);
  Matrix sum(6, 37);
  sum.set(2.0F);
  cpu_kernels().dropout(y.view(), x.view(), 8, 0.2F, false);
  cpu_kernels().dropout(sum.view(), x.view(), 8, 0.2F, true);
  int kept = 0;
  for (int64_t row = 0; row < 6; ++row) {
    for (int64_t col = 0; col < 37; ++col) {
      if (y(row, col) != 0.0) {
        EXPECT_NEAR(y(row, col), x(row, col) / 0.8, 1e-6);
        ++kept;
      }
      EXPECT_NEAR(sum(row, col), 2.0 + y(row, col), 1e-6);
    }
  }
  EXPECT_GT(kept, 150);
  EXPECT_LT(kept, 210);
}

TEST(Dropout, ZeroKeepsEverything) {
  Matrix x(3, 21);
  x.randomise(4);
  Matrix y(3, 21);
  cpu_kernels().dropout(y.view(), x.view(), 8, 0.0F, false);
  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t col = 0; col < 21; ++col) {
      EXPECT_EQ(y(row, col), x(row, col));
    }
  }
}

TEST(Dropout, RefusesWhatIsNoProbability) {
  Matrix x(2, 3);
  EXPECT_THROW(cpu_kernels().dropout(x.view(), x.view(), 1, 1.0F, false), core::Error);
  EXPECT_THROW(cpu_kernels().dropout(x.view(), x.view(), 1, -0.1F, false), core::Error);
  Matrix other(2, 4);
  EXPECT_THROW(cpu_kernels().dropout(other.view(), x.view(), 1, 0.5F, false), core::Error);
}

}  // namespace
}  // namespace llavasharp::backend::testing
