// The counter-based generator: stored values, moments, independence of order.
#include "model/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace llavasharp::model {
namespace {

TEST(Random, IsSplitMix64) {
  // The first outputs of SplitMix64 seeded with 0, as its paper's code gives them.
  EXPECT_EQ(random_bits(0, 0), 0xE220A8397B1DCDAFULL);
  EXPECT_EQ(random_bits(0, 1), 0x6E789E6AA1B965F4ULL);
  EXPECT_EQ(random_bits(0, 2), 0x06C45D188009454FULL);
}

TEST(Random, KeysDependOnSeedAndName) {
  EXPECT_NE(stream_key(0, "a"), stream_key(1, "a"));
  EXPECT_NE(stream_key(0, "a"), stream_key(0, "b"));
  EXPECT_NE(stream_key(-1, "a"), stream_key(1, "a"));
}

TEST(Random, NormalHasItsMomentsAndPrefixesAgree) {
  constexpr size_t kCount = 200001;
  std::vector<float> values(kCount);
  fill_normal(values, stream_key(3, "w"), 1.0, 2.0);
  double sum = 0;
  double squares = 0;
  double beyond = 0;
  for (const float x : values) {
    const double z = (static_cast<double>(x) - 1.0) / 2.0;
    sum += z;
    squares += z * z;
    beyond += std::abs(z) > 1.959964 ? 1 : 0;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.012);      // Five deviations of 1/√n.
  EXPECT_NEAR(squares / kCount, 1, 0.016);  // Of √(2/n).
  EXPECT_NEAR(beyond / kCount, 0.05, 0.0025);
  std::vector<float> fewer(77);
  fill_normal(fewer, stream_key(3, "w"), 1.0, 2.0);
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), values.begin()));
}

TEST(Random, UniformStaysInItsRange) {
  std::vector<float> values(100000);
  fill_uniform(values, stream_key(3, "u"), -2.0, 6.0);
  double sum = 0;
  for (const float x : values) {
    ASSERT_GE(x, -2.0F);
    ASSERT_LE(x, 6.0F);
    sum += static_cast<double>(x);
  }
  EXPECT_NEAR(sum / 100000, 2.0, 0.037);
}

}  // namespace
}  // namespace llavasharp::model
