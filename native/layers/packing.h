// Samples laid end to end as one run of T tokens, and which of its rows a layer works on.
#pragma once

#include <cstdint>

#include "backend/kernels.h"

namespace llavasharp::layers {

// Arrays live in the engine's arena, for a call.
struct Packing {
  int64_t samples = 0;                  // B
  int64_t tokens = 0;                   // T
  const int32_t* starts = nullptr;      // [B+1] first token of each sample, then T.
  const int32_t* key_starts = nullptr;  // [B] first key row: starts, or a place in a cache.
  const int32_t* key_counts = nullptr;  // [B] keys, the sample's own tokens included.
  const int32_t* positions = nullptr;   // [T] rotary positions.
  const int32_t* visible = nullptr;     // [T] keys that a token sees; null: all of its sample's.
};

// Rising rows of a run: what the last layer's queries, and all that follows, are confined to.
struct Selection {
  int64_t count = 0;                   // R
  const int32_t* rows = nullptr;       // [R] token indices.
  const int32_t* starts = nullptr;     // [B+1] first row of each sample, then R.
  const int32_t* positions = nullptr;  // [R] rotary positions.
  const int32_t* visible = nullptr;    // [R] keys that a row sees.
};

// What of a forward pass stays in the arena: nothing, or what a backward pass reads. What is cheap
// to make again from that is not kept.
enum class Keep : int32_t { kNothing, kForBackward };

}  // namespace llavasharp::layers
