// NCCL and HCCL by their C interfaces, against a library that stands in for them and checks every
// argument. This says nothing about hardware.
#include <cstdlib>
#include <thread>

#include "core/error.h"
#include "support/api.h"
#include "train/communicator.h"

namespace llavasharp::test {
namespace {

using train::CommunicatorOptions;
using train::Incoming;
using train::Outgoing;

class Devices : public testing::TestWithParam<int32_t> {
 protected:
  void SetUp() override {
    setenv("LLAVASHARP_DEVICE_COMMUNICATION", LLAVASHARP_STANDIN, 1);
    unsetenv("STANDIN_MODE");
  }
  void TearDown() override {
    unsetenv("LLAVASHARP_DEVICE_COMMUNICATION");
    unsetenv("STANDIN_MODE");
  }
  // Each rank sends rank p's share of its floats to p; returns what failed, by rank.
  std::vector<std::string> exchange(int32_t world, size_t missing = 0) {
    std::vector<std::string> failures(static_cast<size_t>(world));
    std::vector<std::thread> threads;
    threads.reserve(failures.size());
    for (int32_t rank = 0; rank < world; ++rank) {
      threads.emplace_back([&, rank] {
        try {
          run(world, rank, rank == 1 ? missing : 0);
        } catch (const core::Error& error) {
          EXPECT_EQ(error.status(), LLV_COMM);
          failures[static_cast<size_t>(rank)] = error.what();
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    return failures;
  }

 private:
  static constexpr size_t kShare = 40;

  static void run(int32_t world, int32_t rank, size_t missing) {
    const CommunicatorOptions options{.kind = GetParam(),
                                      .rank = rank,
                                      .world = world,
                                      .timeout = std::chrono::seconds(3),
                                      .address = "local:devices"};
    const auto communicator = train::make_communicator(options);
    EXPECT_TRUE(communicator->device_memory());
    const auto ranks = static_cast<size_t>(world);
    std::vector<float> out(kShare * ranks);
    std::vector<float> in(kShare * ranks);
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<float>(1000 * rank) + static_cast<float>(i);
    }
    std::vector<Outgoing> send;
    std::vector<Incoming> receive;
    for (size_t peer = 0; peer < ranks; ++peer) {
      // The last rank takes nothing: an empty part is no call.
      const size_t to = peer + 1 == ranks ? 0 : kShare - missing / sizeof(float);
      const size_t from = rank + 1 == world ? 0 : kShare;
      send.push_back(std::as_bytes(std::span(out).subspan(peer * kShare, to)));
      receive.push_back(std::as_writable_bytes(std::span(in).subspan(peer * kShare, from)));
    }
    communicator->transfer({.step = 5, .op = "reduce", .unit = "head"}, send, receive);
    for (size_t peer = 0; peer < ranks; ++peer) {
      const bool comes = rank + 1 != world && static_cast<int32_t>(peer) != rank;
      const float first =
          comes ? static_cast<float>(1000 * peer + kShare * static_cast<size_t>(rank)) : 0.0F;
      EXPECT_EQ(in[peer * kShare], first);
    }
    const std::byte mine{static_cast<uint8_t>(rank)};
    std::vector<std::byte> all(ranks);
    communicator->host_all_gather({.step = 5, .op = "norm", .unit = ""}, {&mine, 1}, all);
    EXPECT_EQ(all.back(), std::byte{static_cast<uint8_t>(world - 1)});
  }
};

TEST_P(Devices, ExchangeWhatIsEachOnes) {
  for (const int32_t world : {1, 2, 4}) {
    for (const std::string& failure : exchange(world)) {
      EXPECT_EQ(failure, "");
    }
  }
}

TEST_P(Devices, AgreeBeforeAnythingMoves) {
  const std::vector<std::string> failures = exchange(3, 4);
  for (const std::string& failure : failures) {
    EXPECT_EQ(failure,
              "the ranks disagree: rank 1 sends step 5, reduce of head, 156 bytes; rank 0 expects "
              "step 5, reduce of head, 160 bytes");
  }
}

TEST_P(Devices, EndWhatDoesNotEnd) {
  const std::string name = GetParam() == LLV_COMMUNICATOR_NCCL ? "nccl" : "hccl";
  setenv("STANDIN_MODE", "hang", 1);
  EXPECT_EQ(exchange(2)[0],
            name + " has not ended: step 5, reduce of head, 160 bytes, after 3.0 s");
  setenv("STANDIN_MODE", "broken", 1);
  const std::string what = name == "nccl" ? "remote error" : "internal error";
  EXPECT_EQ(exchange(2)[0], name + "CommGetAsyncError: " + what + " (6)");
}

TEST_P(Devices, NeedTheirLibrary) {
  setenv("LLAVASHARP_DEVICE_COMMUNICATION", "/nowhere.so", 1);
  try {
    static_cast<void>(train::make_communicator(
        {.kind = GetParam(), .rank = 0, .world = 1, .address = "local:none"}));
    FAIL() << "there is no such library";
  } catch (const core::Error& error) {
    EXPECT_EQ(error.status(), LLV_UNSUPPORTED);
    const std::string name = GetParam() == LLV_COMMUNICATOR_NCCL ? "nccl" : "hccl";
    EXPECT_TRUE(std::string(error.what()).starts_with("ranks over " + name + " need /nowhere.so"))
        << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Devices,
                         testing::Values(+LLV_COMMUNICATOR_NCCL, +LLV_COMMUNICATOR_HCCL),
                         [](const auto& kind) {
                           return kind.param == LLV_COMMUNICATOR_NCCL ? "nccl" : "hccl";
                         });

}  // namespace
}  // namespace llavasharp::test
