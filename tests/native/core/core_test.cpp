// Memory and the thread pool.
#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/libtorch.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "core/testing.h"

namespace llavasharp::core {
namespace {

TEST(Memory, LedgerCountsByPurposeAndPeak) {
  const auto ledger = std::make_shared<MemoryLedger>();
  {
    const Buffer parameters(ledger, Purpose::kParameters, 100);
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
                       [&] { const Buffer buffer(ledger, Purpose::kGradients, int64_t{1} << 50); })
                .rfind("out of memory: 4503599627370496 bytes (4294967296.0 MiB) could not be "
                       "allocated; the ",
                       0),
            0U);
  EXPECT_EQ(
      message_of(LLV_OUT_OF_MEMORY, [&] { const Buffer buffer(ledger, Purpose::kGradients, -1); }),
      "a buffer of -1 floats is not possible");
  EXPECT_EQ(ledger->total(), 0);
  Arena arena(ledger);
  EXPECT_EQ(message_of(LLV_OUT_OF_MEMORY,
                       [&] { static_cast<void>(arena.take(int64_t{1} << 40, int64_t{1} << 40)); }),
            "a workspace of 1099511627776 x 1099511627776 floats is not possible");
  EXPECT_EQ(message_of(LLV_OUT_OF_MEMORY,
                       [&] { static_cast<void>(arena.take(int64_t{1} << 20, int64_t{1} << 28)); })
                .rfind("out of memory: a workspace of 1125899906842624 bytes (1073741824.0 MiB) is "
                       "not possible; the ",
                       0),
            0U);
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

TEST(Memory, ArenaGrowsInPlaceAndCountsWhatWasHeldAtOnce) {
  const auto ledger = std::make_shared<MemoryLedger>();
  {
    Arena arena(ledger);
    const View first = arena.take(1, 60000);
    const Arena::Mark mark = arena.mark();
    const View second = arena.take(1, 60000);
    arena.rewind(mark);
    first.f32()[0] = 1.0F;
    const View third = arena.take(1, 2000000);  // Past what was ever held.
    EXPECT_EQ(third.data, second.data);
    third.f32()[1999999] = 3.0F;
    EXPECT_EQ(first.f32()[0], 1.0F);
    EXPECT_EQ(ledger->held(Purpose::kWorkspace), 2060000 * 4);
    arena.rewind(0);
    EXPECT_EQ(ledger->held(Purpose::kWorkspace), 2060000 * 4);
  }
  EXPECT_EQ(ledger->held(Purpose::kWorkspace), 0);
  EXPECT_EQ(ledger->peak(), 2060000 * 4);
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
