// One growing block a thread.
#include "backend/cpu/scratch.h"

#include "core/memory.h"

namespace llavasharp::backend::cpu {

float* thread_scratch(int64_t floats) {
  thread_local core::Buffer block;
  if (block.floats() < floats) {
    block = core::Buffer();  // First: both at once would raise the peak.
    block = core::Buffer(nullptr, core::Purpose::kWorkspace, floats);
  }
  return block.data();
}

}  // namespace llavasharp::backend::cpu
