// How much memory this process may have: the least of what the machine, its control groups and
// `ulimit -v` allow. Batch systems and containers set the latter two.
#pragma once

#include <cstdint>
#include <string>

namespace llavasharp::core {

// `name` says in an error message which limit it is.
struct MemoryLimit {
  int64_t bytes = 0;
  std::string name;
};

// The least of all limits. Read anew at each call: some of them can be changed meanwhile.
[[nodiscard]] MemoryLimit memory_limit();

// Bytes of addresses that may still be mapped; INT64_MAX where `ulimit -v` sets no limit.
[[nodiscard]] int64_t addresses_left();

// The limit of the control group that a process is in or of one above it, with the swap it may use.
// membership: the text of its /proc/PID/cgroup, version 1 or 2; root: where the groups are mounted;
// swap: bytes of swap that the machine has. INT64_MAX where there is no limit.
[[nodiscard]] int64_t control_group_bytes(const std::string& membership, const std::string& root,
                                          int64_t swap);

}  // namespace llavasharp::core
