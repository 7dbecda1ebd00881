// Memory that a thread keeps between kernel calls, so that a steady step allocates nothing.
#pragma once

#include <cstdint>

namespace llavasharp::core {

// What a block is for: one part of a loop, or all parts of the loops that this thread starts.
enum class Scratch : int32_t { kPart, kLeft, kRight, kCount };

// At least `floats` uninitialised floats, 64-byte aligned, this thread's until its next call for
// the same purpose. Throws LLV_OUT_OF_MEMORY.
[[nodiscard]] float* thread_scratch(Scratch purpose, int64_t floats);

}  // namespace llavasharp::core
