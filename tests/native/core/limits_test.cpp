// Which limit on memory holds, and what the workspace does under one.
#include "core/limits.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "core/memory.h"
#include "core/testing.h"

namespace llavasharp::core {
namespace {

constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
constexpr int64_t kGiB = int64_t{1} << 30;

class ControlGroups : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) const {
    const std::filesystem::path path = root_ / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << '\n';
  }
  [[nodiscard]] int64_t bytes(const std::string& membership, int64_t swap = 0) const {
    return control_group_bytes(membership, root_.string(), swap);
  }

 private:
  std::filesystem::path root_ = [] {
    std::string name = (std::filesystem::temp_directory_path() / "groups-XXXXXX").string();
    return std::filesystem::path(mkdtemp(name.data()));
  }();
};

TEST_F(ControlGroups, OfVersion2HoldWithThoseAboveThem) {
  EXPECT_EQ(bytes("0::/"), kNone);
  EXPECT_EQ(bytes(""), kNone);
  write("job/step/memory.max", "max");
  EXPECT_EQ(bytes("0::/job/step\n"), kNone);
  write("job/memory.max", "2147483648");
  EXPECT_EQ(bytes("0::/job/step\n"), 2 * kGiB);
  write("job/step/memory.max", "1073741824");
  EXPECT_EQ(bytes("0::/job/step\n"), kGiB);
  EXPECT_EQ(bytes("0::/job\n"), 2 * kGiB);
  EXPECT_EQ(bytes("0::/job/step\n", kGiB), 2 * kGiB);
  write("job/step/memory.swap.max", "0");
  EXPECT_EQ(bytes("0::/job/step\n", kGiB), kGiB);
}

TEST_F(ControlGroups, OfVersion1HoldWithThoseAboveThem) {
  const std::string membership =
      "9:name=systemd:/\n5:cpu,cpuacct:/a\n4:hugetlb,memory:/job/step\n0::/\n";
  write("memory/job/step/memory.limit_in_bytes", "9223372036854771712");
  EXPECT_EQ(bytes(membership), kNone);
  write("memory/job/memory.limit_in_bytes", "3221225472");
  EXPECT_EQ(bytes(membership), 3 * kGiB);
  EXPECT_EQ(bytes(membership, kGiB), 4 * kGiB);
  write("memory/job/memory.memsw.limit_in_bytes", "3221225472");
  EXPECT_EQ(bytes(membership, kGiB), 3 * kGiB);
}

TEST_F(ControlGroups, InAContainerAreThoseAtTheRoot) {
  write("memory/memory.limit_in_bytes", "1073741824");
  EXPECT_EQ(bytes("4:memory:/docker/of/the/host\n"), kGiB);
  write("memory.max", "1073741824");
  EXPECT_EQ(bytes("0::/../host\n"), kGiB);
}

TEST(MemoryLimit, IsNamedAndNeverMoreThanTheMachineHas) {
  const MemoryLimit limit = memory_limit();
  EXPECT_GT(limit.bytes, 0);
  EXPECT_LT(limit.bytes, int64_t{1} << 50);
  EXPECT_FALSE(limit.name.empty());
}

// What remains of the addresses is set, then used; the test's own process is not touched.
[[noreturn]] void work_within(int64_t left) {
  std::ifstream sizes("/proc/self/statm");
  int64_t pages = 0;
  sizes >> pages;
  const auto limit = static_cast<rlim_t>(pages * 4096 + left);
  const rlimit addresses{.rlim_cur = limit, .rlim_max = limit};
  if (setrlimit(RLIMIT_AS, &addresses) != 0 || addresses_left() > left) {
    std::exit(1);
  }
  const auto ledger = std::make_shared<MemoryLedger>();
  Arena arena(ledger);
  arena.take(1, kGiB / 16).f32()[0] = 1;  // 256 MiB of 1 GiB.
  arena.take(1, kGiB / 16).f32()[0] = 1;
  const std::string refused =
      message_of(LLV_OUT_OF_MEMORY, [&] { static_cast<void>(arena.take(1, kGiB / 4)); });
  const std::string alone = message_of(
      LLV_OUT_OF_MEMORY, [&] { const Buffer buffer(ledger, Purpose::kGradients, kGiB); });
  for (const std::string& text : {refused, alone}) {
    if (text.find("; the limit on the address space (ulimit -v) allows ") == std::string::npos) {
      std::exit(2);
    }
  }
  std::exit(0);
}

TEST(MemoryLimit, TheWorkspaceTakesWhatALimitOnAddressesLeaves) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers map more addresses than any limit allows";
#endif
  EXPECT_EXIT(work_within(kGiB), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace llavasharp::core
