// What a layer computes with, and the life of its scratch.
#pragma once

#include "backend/kernels.h"
#include "core/memory.h"
#include "core/view.h"

namespace llavasharp::layers {

using core::View;

// Borrowed from the engine for a call.
struct Context {
  const backend::Kernels& kernels;
  core::Arena& arena;
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
