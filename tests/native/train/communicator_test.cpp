// Ranks that are threads: what they send arrives, and who is missing or differs is named.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <mutex>

#include "support/ranks.h"

namespace llavasharp::test {
namespace {

// Milliseconds: long enough for the other ranks' threads to come on a loaded machine.
constexpr int32_t kShort = 3'000;

// The message of a gather that fails; "" when it does not.
std::string gather_failure(const Communicator& communicator, size_t bytes,
                           const char* purpose = "test") {
  llv_communicator_info info{};
  ok(llv_communicator_info_get(communicator.get(), &info));
  const std::vector<uint8_t> mine(bytes);
  std::vector<uint8_t> all(bytes * static_cast<size_t>(info.world));
  const llv_status status =
      llv_communicator_gather(communicator.get(), purpose, mine.data(), static_cast<int64_t>(bytes),
                              all.data(), static_cast<int64_t>(all.size()));
  if (status == LLV_OK) {
    return "";
  }
  EXPECT_EQ(status, LLV_COMM);
  return llv_error_message();
}

class Ranks : public testing::TestWithParam<int32_t> {};

TEST_P(Ranks, SeeEachOthersBytesInOrder) {
  run_ranks(GetParam(), [&](const Communicator& communicator, int32_t rank) {
    for (const size_t count : {0UL, 1UL, 3UL, 1000UL, 100'003UL}) {
      std::vector<uint8_t> mine(count);
      for (size_t i = 0; i < count; ++i) {
        mine[i] = static_cast<uint8_t>(i * 31 + static_cast<size_t>(rank));
      }
      const std::vector<uint8_t> all = gather(communicator, mine);
      bool same = true;
      for (size_t i = 0; i < all.size(); ++i) {
        same = same && all[i] == static_cast<uint8_t>(i % count * 31 + i / count);
      }
      EXPECT_TRUE(same) << count;
    }
    llv_communicator_info info{};
    ok(llv_communicator_info_get(communicator.get(), &info));
    EXPECT_EQ(info.rank, rank);
    EXPECT_EQ(info.world, GetParam());
    EXPECT_EQ(info.kind, LLV_COMMUNICATOR_LOCAL);
  });
}

INSTANTIATE_TEST_SUITE_P(Worlds, Ranks, testing::Values(1, 2, 3, 4, 7));

TEST(RanksThatFail, AreNamedWhenTheyDoNotCome) {
  const auto begin = std::chrono::steady_clock::now();
  std::atomic<int> waiting{2};
  run_ranks(
      4,
      [&](const Communicator& communicator, int32_t rank) {
        if (rank == 1 || rank == 2) {
          while (waiting > 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
          }
          return;
        }
        const std::string expected =
            "ranks 1 and 2 have not arrived: step 0, gather of test, 5 bytes, after 3.0 s";
        EXPECT_EQ(gather_failure(communicator, 5), expected);
        EXPECT_EQ(gather_failure(communicator, 5), expected);  // And from then on.
        --waiting;
      },
      kShort);
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, std::chrono::milliseconds(kShort));
}

TEST(RanksThatFail, AreNamedWhenTheyLeave) {
  std::atomic<bool> left{false};
  run_ranks(2, [&](const Communicator& communicator, int32_t rank) {
    if (rank == 1) {
      return;
    }
    EXPECT_EQ(gather_failure(communicator, 8), "rank 1 has left: step 0, gather of test, 8 bytes");
  });
}

TEST(RanksThatFail, AreNamedWhenTheySendAnotherSize) {
  run_ranks(3, [&](const Communicator& communicator, int32_t rank) {
    const std::string failure = gather_failure(communicator, rank == 2 ? 12 : 16);
    EXPECT_TRUE(failure.starts_with("the ranks disagree: rank ")) << failure;
    EXPECT_NE(failure.find(" sends "), std::string::npos) << failure;
    EXPECT_NE(failure.find("12"), std::string::npos) << failure;
    EXPECT_NE(failure.find("16"), std::string::npos) << failure;
  });
}

TEST(RanksThatFail, AreNamedWhenTheyAreAtOtherWork) {
  run_ranks(2, [&](const Communicator& communicator, int32_t rank) {
    const std::string failure = gather_failure(communicator, 4, rank == 1 ? "loss" : "hash");
    EXPECT_TRUE(failure.starts_with("the ranks disagree: rank ")) << failure;
    EXPECT_NE(failure.find("step 0, gather of loss, 4 bytes"), std::string::npos) << failure;
    EXPECT_NE(failure.find("step 0, gather of hash, 4 bytes"), std::string::npos) << failure;
  });
}

TEST(RanksThatFail, TellTheOthersWhy) {
  run_ranks(3, [&](const Communicator& communicator, int32_t rank) {
    if (rank == 1) {
      ok(llv_communicator_stop(communicator.get(), 3, "the disk is full"));
    }
    EXPECT_EQ(gather_failure(communicator, 1), "rank 1 gave up: the disk is full");
  });
}

void expect_refused(const llv_communicator_options& options, llv_status status,
                    const std::string& message) {
  llv_communicator* communicator = nullptr;
  EXPECT_EQ(llv_communicator_create(&options, &communicator), status);
  EXPECT_EQ(std::string(llv_error_message()), message);
  EXPECT_EQ(communicator, nullptr);
}

TEST(CommunicatorOptions, AreChecked) {
  llv_communicator_options options;
  ok(llv_communicator_options_init(&options));
  EXPECT_EQ(options.timeout_ms, 300'000);
  expect_refused(options, LLV_INVALID, "rank -1 of -1: the rank must be 0 to world - 1");
  options.rank = 2;
  options.world = 2;
  expect_refused(options, LLV_INVALID, "rank 2 of 2: the rank must be 0 to world - 1");
  options.rank = 0;
  options.timeout_ms = 0;
  expect_refused(options, LLV_INVALID, "timeout_ms is 0: must be at least 1");
  options.timeout_ms = 10;
  options.kind = 9;
  expect_refused(options, LLV_INVALID, "kind is 9: must be 0 to 4");
  options.kind = LLV_COMMUNICATOR_LOCAL;
  options.address = nullptr;
  expect_refused(options, LLV_INVALID, "options.address is null");
  options.address = "nobody else";
  options.world = 1;
  const Communicator first = make_communicator(LLV_COMMUNICATOR_LOCAL, 0, 1, "nobody else", 10);
  expect_refused(options, LLV_STATE, "rank 0 of the group 'nobody else' is taken");
  options.world = 3;
  expect_refused(options, LLV_STATE, "the group 'nobody else' is of 1 ranks, not 3");
}

// Shorter words leave nothing of longer ones, and the file outlives the rank.
TEST(CommunicatorJournal, SaysWhatARankCameToLast) {
  const std::string path = testing::TempDir() + "llavasharp-journal-" + std::to_string(getpid());
  const auto file = [&](int32_t rank) { return path + "-" + std::to_string(rank); };
  run_ranks(2, [&](const Communicator& /*unused*/, int32_t rank) {
    llv_communicator_options options;
    ok(llv_communicator_options_init(&options));
    options.rank = rank;
    options.world = 2;
    options.address = "journal";
    const std::string own = file(rank);
    options.journal = own.c_str();
    llv_communicator* made = nullptr;
    ok(llv_communicator_create(&options, &made));
    const Communicator communicator(made);
    EXPECT_EQ(gather_failure(communicator, 100'000, "longer words"), "");
    EXPECT_EQ(gather_failure(communicator, 3, "late"), "");
  });
  for (int32_t rank = 0; rank < 2; ++rank) {
    std::ifstream in(file(rank));
    std::string line;
    std::getline(in, line);
    EXPECT_EQ(line.substr(0, line.find_last_not_of(' ') + 1), "3\tstep 0, gather of late, 3 bytes");
    static_cast<void>(std::remove(file(rank).c_str()));
  }
}

TEST(CommunicatorJournal, ThatCannotBeWrittenIsRefused) {
  llv_communicator_options options;
  ok(llv_communicator_options_init(&options));
  options.rank = 0;
  options.world = 1;
  options.address = "no journal";
  options.journal = "/nowhere/at/all";
  expect_refused(options, LLV_INVALID, "the journal '/nowhere/at/all' cannot be written");
}

TEST(CommunicatorGather, ChecksTheRoom) {
  const Communicator communicator = make_communicator(LLV_COMMUNICATOR_LOCAL, 0, 1, "room", 10);
  uint8_t byte = 3;
  uint8_t out[2] = {};
  EXPECT_EQ(llv_communicator_gather(communicator.get(), "x", &byte, 1, out, 2), LLV_SHAPE);
  EXPECT_STREQ(llv_error_message(), "1 bytes from each of 1 ranks need 1, there is room for 2");
  ok(llv_communicator_gather(communicator.get(), "x", &byte, 1, out, 1));
  EXPECT_EQ(out[0], 3);
}

}  // namespace
}  // namespace llavasharp::test
