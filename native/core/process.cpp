#include "core/process.h"

#include <fstream>
#include <string>

namespace llavasharp::core {

ResidentMemory resident_memory() {
  ResidentMemory memory;
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key;) {
    int64_t kibibytes = 0;
    if (key == "VmRSS:" && status >> kibibytes) {
      memory.now = kibibytes * 1024;
    } else if (key == "VmHWM:" && status >> kibibytes) {
      memory.peak = kibibytes * 1024;
    }
    std::getline(status, key);
  }
  return memory;
}

}  // namespace llavasharp::core
