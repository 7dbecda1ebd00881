// Memory that a thread keeps between kernel calls, so that a steady step allocates nothing.
#pragma once

#include <cstdint>

namespace llavasharp::backend::cpu {

// At least `floats` uninitialised floats, 64-byte aligned, this thread's until its next call.
// Throws LLV_OUT_OF_MEMORY.
[[nodiscard]] float* thread_scratch(int64_t floats);

}  // namespace llavasharp::backend::cpu
