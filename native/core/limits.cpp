#include "core/limits.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>

#include "core/error.h"

namespace llavasharp::core {
namespace {

constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

// A file that holds one number; none where it is missing, says "max", or is larger than any memory
// (version 1 writes a number near 2^63 for no limit).
int64_t number_in(const std::string& file) {
  constexpr int64_t kMost = int64_t{1} << 60;
  std::ifstream input(file);
  int64_t value = 0;
  return input >> value && value >= 0 && value < kMost ? value : kNone;
}

int64_t sum(int64_t a, int64_t b) {
  return a == kNone || b == kNone ? kNone : a + b;
}

// The least limit of a group and those above it. In a container the path may be the host's, which
// is not mounted there: then the root's own files are the container's.
template <typename LimitOf>
int64_t least_upwards(const std::string& root, std::string path, LimitOf limit_of) {
  int64_t least = kNone;
  while (true) {
    least = std::min(least, limit_of(root + path + "/"));
    const size_t slash = path.rfind('/');
    if (path.empty() || slash == std::string::npos) {
      return least;
    }
    path.resize(slash);
  }
}

// "12:cpu,memory:/path" has a list of controllers with memory in it.
bool controls_memory(std::string_view controllers) {
  constexpr std::string_view kMemory = "memory";
  while (!controllers.empty()) {
    const size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == kMemory) {
      return true;
    }
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

std::string text_of(const std::string& file) {
  std::ifstream input(file);
  std::ostringstream text;
  text << input.rdbuf();
  return text.str();
}

int64_t address_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
                 limit.rlim_cur > static_cast<rlim_t>(kNone)
             ? kNone
             : static_cast<int64_t>(limit.rlim_cur);
}

}  // namespace

int64_t control_group_bytes(const std::string& membership, const std::string& root, int64_t swap) {
  int64_t least = kNone;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/") {
      path.clear();
    }
    if (controllers.empty()) {
      least = std::min(least, least_upwards(root, path, [&](const std::string& group) {
                         return sum(number_in(group + "memory.max"),
                                    std::min(number_in(group + "memory.swap.max"), swap));
                       }));
    } else if (controls_memory(controllers)) {
      least = std::min(least, least_upwards(root + "/memory", path, [&](const std::string& group) {
                         return std::min(sum(number_in(group + "memory.limit_in_bytes"), swap),
                                         number_in(group + "memory.memsw.limit_in_bytes"));
                       }));
    }
  }
  return least;
}

MemoryLimit memory_limit() {
  struct sysinfo machine{};
  if (sysinfo(&machine) != 0) {
    fail(LLV_DEVICE, "the machine does not say how much memory it has");
  }
  const auto unit = static_cast<int64_t>(machine.mem_unit);
  const int64_t swap = static_cast<int64_t>(machine.totalswap) * unit;
  MemoryLimit limit{.bytes = static_cast<int64_t>(machine.totalram) * unit + swap,
                    .name = "the machine's memory"};
  const int64_t group = control_group_bytes(text_of("/proc/self/cgroup"), "/sys/fs/cgroup", swap);
  if (group < limit.bytes) {
    limit = {.bytes = group, .name = "the memory limit of the control group (container or job)"};
  }
  if (const int64_t addresses = address_limit(); addresses < limit.bytes) {
    limit = {.bytes = addresses, .name = "the limit on the address space (ulimit -v)"};
  }
  return limit;
}

int64_t addresses_left() {
  const int64_t limit = address_limit();
  if (limit == kNone) {
    return kNone;
  }
  std::ifstream sizes("/proc/self/statm");
  int64_t pages = 0;
  sizes >> pages;  // 0 where the system does not say.
  return std::max<int64_t>(0, limit - pages * sysconf(_SC_PAGESIZE));
}

}  // namespace llavasharp::core
