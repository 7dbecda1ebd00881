// Everything that moves, adds or converts rows: exact, or a sum.
#include <array>
#include <cstring>

#include "backend/testing.h"
#include "core/parallel.h"

namespace llavasharp::backend {
namespace {

using testing::expect_close;
using testing::Matrix;
using testing::message_of;
using testing::on_every_target;
using testing::tolerance;

const std::vector<std::array<int64_t, 2>> kShapes{{1, 1},   {3, 5},   {7, 16},    {2, 63},
                                                  {65, 64}, {130, 9}, {1000, 257}};

TEST(Rows, AddCopyFillBias) {
  on_every_target([] {
    for (const auto& [rows, cols] : kShapes) {
      Matrix x(rows, cols);
      Matrix y(rows, cols);
      Matrix kept(rows, cols);
      Matrix bias(1, cols);
      x.randomise(1);
      y.randomise(2);
      kept.randomise(2);
      bias.randomise(3);
      cpu_kernels().add(y.view(), x.view());
      cpu_kernels().add_bias(y.view(), bias.view());
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t col = 0; col < cols; ++col) {
          ASSERT_EQ(y.at(row, col), kept.at(row, col) + x.at(row, col) + bias.at(0, col));
        }
      }
      cpu_kernels().copy(y.view(), x.view());
      EXPECT_EQ(y.values(), x.values());
      cpu_kernels().fill(y.view(), 1.5F);
      EXPECT_EQ(y.at(rows - 1, cols - 1), 1.5F);
      EXPECT_TRUE(y.gaps_untouched());
    }
  });
}

TEST(Rows, ScaleColumns) {
  on_every_target([] {
    for (const auto& [rows, cols] : kShapes) {
      Matrix x(rows, cols);
      Matrix y(rows, cols);
      Matrix factors(1, cols);
      x.randomise(1);
      factors.randomise(2);
      y.set(0.5F);
      cpu_kernels().scale_columns(y.view(), x.view(), factors.view(), true);
      const auto sum = [&](int64_t row, int64_t col) {
        return 0.5 + x(row, col) * factors(0, col);
      };
      expect_close(y, sum, tolerance(1), "scale_columns, added");
      cpu_kernels().scale_columns(y.view(), x.view(), factors.view(), false);
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t col = 0; col < cols; ++col) {
          ASSERT_EQ(y.at(row, col), x.at(row, col) * factors.at(0, col));
        }
      }
      EXPECT_TRUE(y.gaps_untouched());
    }
  });
}

TEST(Rows, RowAndColumnDot) {
  on_every_target([] {
    for (const auto& [rows, cols] : kShapes) {
      Matrix a(rows, cols);
      Matrix b(rows, cols);
      Matrix factors(1, cols);
      Matrix by_row(1, rows);
      Matrix by_column(1, cols);
      a.randomise(1);
      b.randomise(2);
      factors.randomise(3);
      by_row.set(7.0F);
      by_column.set(0.5F);
      cpu_kernels().row_dot(by_row.view(), a.view(), b.view(), 1.0F, false);
      cpu_kernels().row_dot(by_row.view(), a.view(), a.view(), 0.5F, true);
      const auto row_sum = [&, count = cols](int64_t, int64_t row) {
        double total = 0;
        for (int64_t col = 0; col < count; ++col) {
          total += a(row, col) * b(row, col) + 0.5 * a(row, col) * a(row, col);
        }
        return total;
      };
      expect_close(by_row, row_sum, tolerance(cols), "row_dot");
      cpu_kernels().column_dot(by_column.view(), a.view(), b.view(), factors.view());
      const auto column_sum = [&, count = rows](int64_t, int64_t col) {
        double total = 0;
        for (int64_t row = 0; row < count; ++row) {
          total += a(row, col) * b(row, col);
        }
        return 0.5 + factors(0, col) * total;
      };
      expect_close(by_column, column_sum, tolerance(rows), "column_dot");
    }
  });
}

TEST(Rows, GainsOfLengths) {
  Matrix magnitude(1, 4);
  Matrix squares(1, 4);
  Matrix gains(3, 4);
  for (int64_t i = 0; i < 4; ++i) {
    magnitude.at(0, i) = 3.0F;
    squares.at(0, i) = static_cast<float>(i < 3 ? 4 * i * i : -1);
  }
  cpu_kernels().gains(gains.view(), magnitude.view(), squares.view());
  const std::array<float, 4> expected{0.0F, 1.5F, 0.75F, 0.0F};
  const std::array<float, 4> inverse{0.0F, 0.5F, 0.25F, 0.0F};
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(gains.at(0, i), expected.at(static_cast<size_t>(i)));
    EXPECT_EQ(gains.at(1, i), expected.at(static_cast<size_t>(i)) - 1.0F);
    EXPECT_EQ(gains.at(2, i), inverse.at(static_cast<size_t>(i)));
  }
}

TEST(Rows, ColumnSumAccumulates) {
  on_every_target([] {
    for (const auto& [rows, cols] : kShapes) {
      Matrix dy(rows, cols);
      Matrix sum(1, cols);
      dy.randomise(1);
      sum.set(0.5F);
      cpu_kernels().column_sum(sum.view(), dy.view());
      expect_close(
          sum,
          [&, count = rows](int64_t, int64_t col) {
            double total = 0.5;
            for (int64_t row = 0; row < count; ++row) {
              total += dy(row, col);
            }
            return total;
          },
          tolerance(rows), "column_sum");
    }
  });
}

TEST(Rows, ColumnSumSameBytesForAnyThreadCount) {
  Matrix dy(3000, 200);
  dy.randomise(1);
  Matrix one(1, 200);
  Matrix three(1, 200);
  one.set(0.0F);
  three.set(0.0F);
  const int32_t threads = core::threads();
  core::set_threads(1);
  cpu_kernels().column_sum(one.view(), dy.view());
  core::set_threads(3);
  cpu_kernels().column_sum(three.view(), dy.view());
  core::set_threads(threads);
  EXPECT_EQ(one.values(), three.values());
}

TEST(Rows, GatherAndScatter) {
  Matrix table(9, 70);
  Matrix picked(5, 70);
  table.randomise(1);
  picked.set(0.0F);
  const std::array<int32_t, 5> rows{8, 0, -1, 3, 8};
  cpu_kernels().gather_rows(picked.view(), table.view(), rows.data());
  EXPECT_EQ(picked.at(0, 69), table.at(8, 69));
  EXPECT_EQ(picked.at(2, 4), 0.0F) << "a skipped row is left alone";
  Matrix sums(9, 70);
  sums.set(1.0F);
  cpu_kernels().scatter_rows(sums.view(), picked.view(), rows.data(), true);
  EXPECT_EQ(sums.at(8, 7), 1.0F + table.at(8, 7) + table.at(8, 7));
  EXPECT_EQ(sums.at(0, 7), 1.0F + table.at(0, 7));
  EXPECT_EQ(sums.at(1, 7), 1.0F);
  cpu_kernels().scatter_rows(sums.view(), picked.view(), rows.data(), false);
  EXPECT_EQ(sums.at(8, 7), table.at(8, 7));
  EXPECT_TRUE(sums.gaps_untouched());
}

TEST(Rows, RefusesRowsPastTheEnd) {
  Matrix table(9, 4);
  Matrix picked(2, 4);
  const std::array<int32_t, 2> rows{1, 9};
  EXPECT_EQ(
      message_of(LLV_INVALID,
                 [&] { cpu_kernels().gather_rows(picked.view(), table.view(), rows.data()); }),
      "gather_rows: row 9 (entry 1) is past the last of 9 rows");
  EXPECT_EQ(message_of(LLV_INVALID,
                       [&] {
                         cpu_kernels().scatter_rows(table.view(), picked.view(), rows.data(), true);
                       }),
            "scatter_rows: row 9 (entry 1) is past the last of 9 rows");
  EXPECT_EQ(
      message_of(
          LLV_INVALID,
          [&] { cpu_kernels().add({nullptr, 2, 4, 4, core::DType::kFloat32}, picked.view()); }),
      "add: y is null where [2, 4] is needed");
  View half = picked.view();
  half.dtype = core::DType::kBFloat16;
  EXPECT_EQ(message_of(LLV_UNSUPPORTED, [&] { cpu_kernels().copy(half, picked.view()); }),
            "copy: y has dtype 2, only float32 is computed");
}

TEST(Patches, FollowAConvolutionsWeight) {
  const int64_t images = 2;
  const int32_t size = 12;
  const int32_t patch = 4;
  std::vector<float> pixels(static_cast<size_t>(images * 3 * size * size));
  for (size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<float>(i);
  }
  Matrix out(images * 9, 48);
  cpu_kernels().patches(out.view(), pixels.data(), images, size, patch);
  for (int64_t image = 0; image < images; ++image) {
    for (int64_t at = 0; at < 9 * 48; ++at) {
      const int64_t place = at / 48;
      const int64_t channel = at % 48 / 16;
      const int64_t y = place / 3 * patch + at % 16 / 4;
      const int64_t x = place % 3 * patch + at % 4;
      ASSERT_EQ(out(image * 9 + place, at % 48),
                static_cast<double>(((image * 3 + channel) * size + y) * size + x));
    }
  }
  EXPECT_EQ(message_of(LLV_INVALID,
                       [&] { cpu_kernels().patches(out.view(), pixels.data(), images, 12, 5); }),
            "patches: image size 12 is not a multiple of patch size 5");
}

// The value of a half-precision number by its definition.
double half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const double size =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

TEST(Convert, EveryHalfAtAnyAddress) {
  on_every_target([] {
    std::vector<uint8_t> bytes(2 * 65536 + 1);
    for (uint32_t value = 0; value < 65536; ++value) {
      const auto bits = static_cast<uint16_t>(value);
      std::memcpy(bytes.data() + 1 + 2 * value, &bits, 2);
    }
    std::vector<float> out(65536);
    cpu_kernels().convert(out.data(), bytes.data() + 1, core::DType::kFloat16, 65536);
    for (uint32_t value = 0; value < 65536; ++value) {
      if ((value >> 10 & 31) != 31) {
        ASSERT_EQ(static_cast<double>(out[value]), half_value(static_cast<uint16_t>(value)));
      }
    }
    cpu_kernels().convert(out.data(), bytes.data() + 1, core::DType::kBFloat16, 65536);
    for (uint32_t value = 0; value < 65536; ++value) {
      uint32_t bits = 0;
      std::memcpy(&bits, &out[value], 4);
      ASSERT_EQ(bits, value << 16);
    }
  });
}

TEST(Convert, WholeAndDouble) {
  const std::array<double, 3> doubles{1.0, -2.5, 1e-3};
  std::array<float, 3> out{};
  cpu_kernels().convert(out.data(), doubles.data(), core::DType::kFloat64, 3);
  EXPECT_EQ(out, (std::array<float, 3>{1.0F, -2.5F, 1e-3F}));
  std::array<float, 3> again{};
  cpu_kernels().convert(again.data(), out.data(), core::DType::kFloat32, 3);
  EXPECT_EQ(again, out);
  EXPECT_EQ(message_of(LLV_INVALID,
                       [&] {
                         cpu_kernels().convert(out.data(), doubles.data(),
                                               static_cast<core::DType>(9), 3);
                       }),
            "convert: dtype 9 is unknown");
}

TEST(Table, NamesDevicesThatAreMissing) {
  EXPECT_STREQ(kernels_for(LLV_DEVICE_CPU).name, "cpu");
  EXPECT_EQ(message_of(LLV_UNSUPPORTED, [] { static_cast<void>(kernels_for(LLV_DEVICE_CUDA)); }),
            "device cuda: this build has no CUDA backend; use device cpu");
  EXPECT_EQ(message_of(LLV_UNSUPPORTED, [] { static_cast<void>(kernels_for(LLV_DEVICE_HPU)); }),
            "device hpu: this build has no Habana Gaudi backend; use device cpu");
  EXPECT_EQ(message_of(LLV_INVALID, [] { static_cast<void>(kernels_for(9)); }),
            "device 9 is unknown: use 0 (cpu), 1 (cuda) or 2 (hpu)");
}

}  // namespace
}  // namespace llavasharp::backend
