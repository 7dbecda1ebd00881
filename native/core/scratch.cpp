// One growing block a thread and purpose.
#include "core/scratch.h"

#include <array>

#include "core/memory.h"

namespace llavasharp::core {

float* thread_scratch(Scratch purpose, int64_t floats) {
  thread_local std::array<Buffer, static_cast<size_t>(Scratch::kCount)> blocks;
  Buffer& block = blocks.at(static_cast<size_t>(purpose));
  if (block.floats() < floats) {
    block = Buffer();  // First: both at once would raise the peak.
    block = Buffer(nullptr, Purpose::kWorkspace, floats);
  }
  return block.data();
}

}  // namespace llavasharp::core
