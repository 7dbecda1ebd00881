// What a layer computes with, and the life of its scratch.
#pragma once

#include "backend/kernels.h"
#include "core/memory.h"
#include "core/view.h"

namespace llavasharp::layers {

using core::View;

// Whether adapters drop out, and the key of this pass's masks: of the step and micro-batch, then,
// within a layer, of the layer as well.
struct Dropout {
  bool active = false;
  uint64_t key = 0;
};

// Borrowed from the engine for a call.
struct Context {
  const backend::Kernels& kernels;
  core::Arena& arena;
  Dropout dropout = {};
};

// Gives back, at the end of a scope, what was taken from the arena in it.
class Scratch {
 public:
  explicit Scratch(core::Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~Scratch() { arena_.rewind(mark_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Scratch(Scratch&&) = delete;
  Scratch& operator=(Scratch&&) = delete;

 private:
  core::Arena& arena_;
  core::Arena::Mark mark_;
};

}  // namespace llavasharp::layers
