// Products in every form, through libtorch and our own.
#include "core/matmul.h"

#include <hwy/highway.h>

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/gemm.h"
#include "core/parallel.h"
#include "core/testing.h"

namespace llavasharp::core {
namespace {

struct Matrix {
  Matrix(int64_t row_count, int64_t col_count, int64_t gap, uint32_t seed)
      : rows(row_count),
        cols(col_count),
        stride(col_count + gap),
        values(static_cast<size_t>(rows * stride)) {
    std::mt19937 generator(seed);
    for (float& value : values) {
      value = static_cast<float>(generator()) / 2147483648.0F - 1.0F;
    }
  }
  [[nodiscard]] View view() {
    // A matrix without elements still has an address.
    static float nothing = 0.0F;
    return {values.empty() ? &nothing : values.data(), rows, cols, stride, DType::kFloat32};
  }
  [[nodiscard]] double operator()(int64_t row, int64_t col) const {
    return static_cast<double>(values[static_cast<size_t>(row * stride + col)]);
  }
  int64_t rows, cols, stride;
  std::vector<float> values;
};

// A sum of k products of numbers in -1 … 1 has a size of about √k / 3, and its rounding errors are
// ε √k of that.
double tolerance(int64_t k) {
  const double root = std::sqrt(static_cast<double>(k));
  return 4.0 * static_cast<double>(std::numeric_limits<float>::epsilon()) * root *
         (1.0 + root / 3.0);
}

enum class Form { kNt, kNn, kTn };

void expect_product(Form form, int64_t m, int64_t n, int64_t k, int64_t gap) {
  SCOPED_TRACE("m " + std::to_string(m) + " n " + std::to_string(n) + " k " + std::to_string(k) +
               " gap " + std::to_string(gap) + " form " + std::to_string(static_cast<int>(form)));
  Matrix a = form == Form::kTn ? Matrix(k, m, gap, 1) : Matrix(m, k, gap, 1);
  Matrix b = form == Form::kNt ? Matrix(n, k, gap, 2) : Matrix(k, n, gap, 2);
  for (const Accumulate accumulate : {Accumulate::kNo, Accumulate::kYes}) {
    Matrix out(m, n, gap, 3);
    const Matrix kept(m, n, gap, 3);
    const auto multiply = form == Form::kNt ? matmul_nt : form == Form::kNn ? matmul_nn : matmul_tn;
    multiply(out.view(), a.view(), b.view(), accumulate);
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t col = 0; col < n; ++col) {
        double sum = accumulate == Accumulate::kYes ? kept(row, col) : 0.0;
        for (int64_t i = 0; i < k; ++i) {
          sum += (form == Form::kTn ? a(i, row) : a(row, i)) *
                 (form == Form::kNt ? b(col, i) : b(i, col));
        }
        const double bound = tolerance(k);
        ASSERT_NEAR(out(row, col), sum, bound) << row << ", " << col;
      }
      for (int64_t i = n; i < n + gap; ++i) {
        ASSERT_EQ(out(row, i), kept(row, i)) << "wrote between rows";
      }
    }
  }
}

TEST(Matmul, AllFormsSizesAndStrides) {
  const std::vector<std::array<int64_t, 3>> sizes{
      {1, 1, 1}, {1, 5, 3},    {5, 1, 3},    {4, 3, 1},     {7, 9, 11},   {1, 130, 64},
      {2, 3, 0}, {0, 4, 4},    {4, 0, 4},    {33, 17, 129}, {64, 64, 64}, {6, 64, 32},
      {3, 1, 1}, {97, 65, 40}, {13, 500, 7}, {1, 1, 300}};
  for (const auto& [m, n, k] : sizes) {
    for (const int64_t gap : {0, 5}) {
      for (const Form form : {Form::kNt, Form::kNn, Form::kTn}) {
        expect_product(form, m, n, k, gap);
      }
    }
  }
}

// Our own product, which only some machines use, on every instruction set.
void expect_gemm(Form form, int64_t m, int64_t n, int64_t k, bool accumulate) {
  Matrix a = form == Form::kTn ? Matrix(k, m, 3, 1) : Matrix(m, k, 3, 1);
  Matrix b = form == Form::kNt ? Matrix(n, k, 3, 2) : Matrix(k, n, 3, 2);
  Matrix ours(m, n, 3, 3);
  Matrix theirs(m, n, 3, 3);
  gemm({.out = ours.view(),
        .a = a.view(),
        .b = b.view(),
        .transpose_a = form == Form::kTn,
        .transpose_b = form == Form::kNt,
        .accumulate = accumulate});
  std::vector<double> sum(static_cast<size_t>(n));
  for (int64_t row = 0; row < m; ++row) {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (int64_t i = 0; i < k; ++i) {
      const double left = form == Form::kTn ? a(i, row) : a(row, i);
      for (int64_t col = 0; col < n; ++col) {
        sum[static_cast<size_t>(col)] += left * (form == Form::kNt ? b(col, i) : b(i, col));
      }
    }
    for (int64_t col = 0; col < n; ++col) {
      const double expected = sum[static_cast<size_t>(col)] + (accumulate ? theirs(row, col) : 0.0);
      const double bound = tolerance(k);
      ASSERT_NEAR(ours(row, col), expected, bound) << m << " " << n << " " << k;
    }
    ASSERT_EQ(ours(row, n), theirs(row, n)) << "wrote between rows";
  }
}

TEST(Gemm, EdgesOnEveryInstructionSet) {
  const std::vector<std::array<int64_t, 3>> sizes{{1, 1, 1},   {6, 64, 8},    {5, 63, 3},
                                                  {7, 65, 17}, {50, 130, 40}, {100, 20, 770}};
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    for (const auto& [m, n, k] : sizes) {
      for (const Form form : {Form::kNt, Form::kNn, Form::kTn}) {
        expect_gemm(form, m, n, k, false);
        expect_gemm(form, m, n, k, true);
      }
    }
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(Gemm, ManyChunks) {
  for (const Form form : {Form::kNt, Form::kNn, Form::kTn}) {
    expect_gemm(form, 90, 70, 12000, true);  // Both operands in two chunks, k in many parts.
  }
}

TEST(Gemm, SameBytesForAnyThreadCount) {
  Matrix a(300, 800, 0, 1);
  Matrix b(1100, 800, 0, 2);
  const auto run = [&](int32_t count) {
    Matrix out(300, 1100, 0, 3);
    set_threads(count);
    gemm({.out = out.view(),
          .a = a.view(),
          .b = b.view(),
          .transpose_a = false,
          .transpose_b = true,
          .accumulate = false});
    return out.values;
  };
  const int32_t before = threads();
  const std::vector<float> one = run(1);
  EXPECT_EQ(run(3), one);
  set_threads(before);
}

TEST(Matmul, SameBytesTwice) {
  Matrix a(70, 300, 0, 1);
  Matrix b(90, 300, 0, 2);
  Matrix one(70, 90, 0, 3);
  Matrix two(70, 90, 0, 4);
  matmul_nt(one.view(), a.view(), b.view());
  matmul_nt(two.view(), a.view(), b.view());
  EXPECT_EQ(one.values, two.values);
}

TEST(Matmul, NamesBothShapes) {
  Matrix a(2, 3, 0, 1);
  Matrix b(4, 5, 0, 2);
  Matrix out(2, 4, 0, 3);
  EXPECT_EQ(message_of(LLV_SHAPE, [&] { matmul_nt(out.view(), a.view(), b.view()); }),
            "matmul_nt: out [2, 4] does not fit a [2, 3] and b [4, 5]");
  EXPECT_EQ(message_of(LLV_SHAPE, [&] { matmul_nn(out.view(), a.view(), b.view()); }),
            "matmul_nn: out [2, 4] does not fit a [2, 3] and b [4, 5]");
  EXPECT_EQ(message_of(LLV_SHAPE, [&] { matmul_tn(out.view(), a.view(), b.view()); }),
            "matmul_tn: out [2, 4] does not fit a [2, 3] and b [4, 5]");
  View half = a.view();
  half.dtype = DType::kFloat16;
  EXPECT_EQ(message_of(LLV_UNSUPPORTED, [&] { matmul_nn(out.view(), half, b.view()); }),
            "matmul_nn: a has dtype 1, only float32 is computed");
  View overlapping = a.view();
  overlapping.stride = 1;
  EXPECT_NE(message_of(LLV_SHAPE, [&] { matmul_nn(out.view(), overlapping, b.view()); })
                .find("a is not a matrix: [2, 3] with stride 1"),
            std::string::npos);
}

}  // namespace
}  // namespace llavasharp::core
