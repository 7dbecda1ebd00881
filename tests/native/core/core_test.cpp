// Products, memory and the thread pool.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/libtorch.h"
#include "core/matmul.h"
#include "core/memory.h"
#include "core/parallel.h"

namespace llavasharp::core {
namespace {

std::string message_of(llv_status status, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

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
        const double bound = 4.0 * static_cast<double>(std::numeric_limits<float>::epsilon()) *
                             std::sqrt(static_cast<double>(k + 1)) * (1.0 + std::abs(sum));
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

TEST(Memory, LedgerCountsByPurposeAndPeak) {
  const auto ledger = std::make_shared<MemoryLedger>();
  {
    const Buffer parameters(ledger, Purpose::kParameters, 100, true);
    EXPECT_EQ(parameters.data()[99], 0.0F);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(parameters.data()) % 64, 0U);
    Buffer gradients(ledger, Purpose::kGradients, 50);
    EXPECT_EQ(ledger->held(Purpose::kParameters), 400);
    EXPECT_EQ(ledger->total(), 600);
    Buffer moved = std::move(gradients);
    EXPECT_EQ(ledger->total(), 600);
    EXPECT_EQ(moved.floats(), 50);
    moved = Buffer();
    EXPECT_EQ(ledger->total(), 400);
    EXPECT_EQ(ledger->peak(), 600);
    ledger->reset_peak();
    EXPECT_EQ(ledger->peak(), 400);
  }
  EXPECT_EQ(ledger->total(), 0);
  const Buffer empty(ledger, Purpose::kWorkspace, 0);
  EXPECT_EQ(empty.data(), nullptr);
}

TEST(Memory, SaysHowMuchWasAskedFor) {
  const auto ledger = std::make_shared<MemoryLedger>();
  EXPECT_EQ(message_of(LLV_OUT_OF_MEMORY,
                       [&] { const Buffer buffer(ledger, Purpose::kGradients, int64_t{1} << 50); }),
            "out of memory: 4503599627370496 bytes (4294967296.0 MiB) could not be allocated");
  EXPECT_EQ(
      message_of(LLV_OUT_OF_MEMORY, [&] { const Buffer buffer(ledger, Purpose::kGradients, -1); }),
      "a buffer of -1 floats is not possible");
  EXPECT_EQ(ledger->total(), 0);
  Arena arena(ledger);
  EXPECT_EQ(message_of(LLV_OUT_OF_MEMORY,
                       [&] { static_cast<void>(arena.take(int64_t{1} << 40, int64_t{1} << 40)); }),
            "a workspace of 1099511627776 x 1099511627776 floats is not possible");
}

TEST(Memory, ArenaGrowsThenAllocatesNoMore) {
  const auto ledger = std::make_shared<MemoryLedger>();
  Arena arena(ledger);
  EXPECT_EQ(arena.mark(), 0);
  const auto step = [&arena] {
    const View first = arena.take(3, 5);
    const Arena::Mark mark = arena.mark();
    const View second = arena.take(1000, 300);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(second.data) % 64, 0U);
    second.f32()[1000 * 300 - 1] = 2.0F;
    arena.rewind(mark);
    const View third = arena.take(1, 7);
    EXPECT_NE(first.data, third.data);
    int32_t* ints = arena.take_ints(400000);
    ints[399999] = 3;
    arena.rewind(0);
  };
  step();
  step();
  const int64_t held = ledger->held(Purpose::kWorkspace);
  ledger->reset_peak();
  for (int i = 0; i < 5; ++i) {
    step();
  }
  EXPECT_EQ(ledger->held(Purpose::kWorkspace), held);
  EXPECT_EQ(ledger->peak(), held);
  EXPECT_EQ(message_of(LLV_INTERNAL, [&] { arena.rewind(1); }),
            "workspace rewound to 1 of 0 floats");
}

TEST(Memory, ArenaMarksWorkAcrossBlocks) {
  const auto ledger = std::make_shared<MemoryLedger>();
  Arena arena(ledger);
  const View first = arena.take(1, 60000);
  const View second = arena.take(1, 60000);  // In a second block.
  const Arena::Mark mark = arena.mark();
  const View third = arena.take(1, 60000);
  arena.rewind(mark);
  EXPECT_EQ(arena.take(1, 60000).data, third.data);
  first.f32()[0] = 1.0F;
  second.f32()[0] = 2.0F;
  arena.take(1, 200000).f32()[0] = 3.0F;
  EXPECT_EQ(first.f32()[0], 1.0F);
  EXPECT_EQ(second.f32()[0], 2.0F);
}

TEST(Parallel, CoversEveryIndexOnce) {
  const int32_t threads_before = threads();
  for (const int32_t count_threads : {1, 2, 5}) {
    set_threads(count_threads);
    EXPECT_EQ(threads(), count_threads);
    for (const int64_t count : {0, 1, 2, 3, 100, 1001}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
      parallel_for(count, 7, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          ++seen[static_cast<size_t>(i)];
        }
      });
      parallel_tasks(count, [&](int64_t i) { ++seen[static_cast<size_t>(i)]; });
      for (const auto& times : seen) {
        EXPECT_EQ(times, 2);
      }
    }
  }
  set_threads(threads_before);
}

TEST(Parallel, NestsAndCarriesExceptions) {
  std::atomic<int> sum{0};
  parallel_tasks(4, [&](int64_t) {
    parallel_for(100, 1, [&](int64_t begin, int64_t end) { sum += static_cast<int>(end - begin); });
  });
  EXPECT_EQ(sum, 400);
  EXPECT_THROW(
      parallel_for(100, 1, [](int64_t, int64_t) { throw std::runtime_error("from a part"); }),
      std::runtime_error);
  EXPECT_THROW(parallel_tasks(100,
                              [](int64_t task) {
                                if (task == 57) {
                                  fail(LLV_NUMERIC, "task %d", 57);
                                }
                              }),
               Error);
  parallel_for(10, 1, [&](int64_t, int64_t) { ++sum; });  // The pool still works.
}

TEST(Parallel, RefusesImpossibleThreadCounts) {
  EXPECT_EQ(message_of(LLV_INVALID, [] { set_threads(-1); }),
            "threads is -1: use 1 to 4096, or 0 for libtorch's choice");
  EXPECT_EQ(message_of(LLV_INVALID, [] { set_threads(5000); }),
            "threads is 5000: use 1 to 4096, or 0 for libtorch's choice");
  const int32_t before = threads();
  set_threads(0);
  EXPECT_EQ(threads(), before);
}

TEST(Libtorch, SaysItsVersion) {
  const std::string version = libtorch_version();
  EXPECT_EQ(version.substr(0, 2), "2.");
  EXPECT_EQ(std::count(version.begin(), version.end(), '.'), 2);
  EXPECT_EQ(aoti_torch_dtype_float32(), 6);
  EXPECT_EQ(aoti_torch_device_type_cpu(), 0);
}

}  // namespace
}  // namespace llavasharp::core
