// Rotary embedding against its definition, with float32 frequencies and angles.
#include "backend/testing.h"

namespace llavasharp::backend {
namespace {

using testing::expect_close;
using testing::Matrix;
using testing::message_of;
using testing::on_every_target;
using testing::tolerance;

// theta^(-2i/dim), in float32 as Hugging Face's.
std::vector<float> frequencies(int64_t dim, double theta) {
  std::vector<float> values;
  for (int64_t i = 0; i < dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    values.push_back(1.0F / static_cast<float>(std::pow(theta, static_cast<double>(exponent))));
  }
  return values;
}

double rotated(const Matrix& x, int32_t position, int64_t row, int64_t col, int64_t dim,
               double theta) {
  const int64_t half = dim / 2;
  const int64_t i = col % dim % half;
  const int64_t head = col / dim * dim;
  const float frequency = frequencies(dim, theta)[static_cast<size_t>(i)];
  const double angle = static_cast<double>(static_cast<float>(position) * frequency);
  const double a = x(row, head + i);
  const double b = x(row, head + half + i);
  return col % dim < half ? a * std::cos(angle) - b * std::sin(angle)
                          : b * std::cos(angle) + a * std::sin(angle);
}

TEST(Rope, MatchesDefinitionAndInverts) {
  on_every_target([] {
    for (const int32_t dim : {2, 12, 20, 32, 64, 128}) {
      const int64_t rows = 9;
      Matrix x(rows, 3L * dim);
      Matrix kept(rows, 3L * dim);
      x.randomise(1);
      kept.randomise(1);
      const std::vector<int32_t> positions{0, 1, 2, 3, 100, 1000, 4095, 0, 7};
      const std::vector<float> by = frequencies(dim, 10000.0);
      cpu_kernels().rope(x.view(), positions.data(), by.data(), 3, dim, false);
      expect_close(
          x,
          [&](int64_t row, int64_t col) {
            return rotated(kept, positions[static_cast<size_t>(row)], row, col, dim, 10000.0);
          },
          tolerance(1), "rotated");
      cpu_kernels().rope(x.view(), positions.data(), by.data(), 3, dim, true);
      expect_close(
          x, [&](int64_t row, int64_t col) { return kept(row, col); }, tolerance(1), "inverted");
    }
  });
}

TEST(Rope, SeesChangedPositionsThetaAndRows) {
  std::vector<int32_t> positions{5, 6, 7};
  for (const double theta : {10000.0, 1e6}) {
    for (const int64_t rows : {3, 2}) {
      for (const int32_t shift : {0, 40}) {
        positions[0] = 5 + shift;
        Matrix x(rows, 16);
        Matrix kept(rows, 16);
        x.randomise(2);
        kept.randomise(2);
        cpu_kernels().rope(x.view(), positions.data(), frequencies(8, theta).data(), 2, 8, false);
        expect_close(
            x,
            [&](int64_t row, int64_t col) {
              return rotated(kept, positions[static_cast<size_t>(row)], row, col, 8, theta);
            },
            tolerance(1), "rotated");
      }
    }
  }
}

TEST(Rope, RefusesOddHeads) {
  Matrix x(1, 15);
  const int32_t position = 0;
  const std::vector<float> by = frequencies(16, 10000.0);
  EXPECT_EQ(message_of(LLV_INVALID,
                       [&] { cpu_kernels().rope(x.view(), &position, by.data(), 1, 15, false); }),
            "rope: 1 heads of 15: the head size must be even");
}

}  // namespace
}  // namespace llavasharp::backend
