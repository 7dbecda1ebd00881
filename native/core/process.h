// What the operating system says about this process.
#pragma once

#include <cstdint>

namespace llavasharp::core {

// Bytes; 0 where the system does not say.
struct ResidentMemory {
  int64_t now = 0;
  int64_t peak = 0;
};
[[nodiscard]] ResidentMemory resident_memory();

}  // namespace llavasharp::core
