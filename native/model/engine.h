// A device that is open: its kernels, its memory ledger and the arena that all scratch comes from.
#pragma once

#include <memory>

#include "backend/kernels.h"
#include "core/memory.h"
#include "layers/context.h"

namespace llavasharp::model {

// Used by one thread at a time; outlives every model made on it.
class Engine {
 public:
  // threads: 0 keeps libtorch's choice. Throws LLV_UNSUPPORTED for a device without a backend.
  Engine(int32_t device, int32_t threads);

  [[nodiscard]] const std::shared_ptr<core::MemoryLedger>& ledger() const { return ledger_; }
  [[nodiscard]] const backend::Kernels& kernels() const { return kernels_; }
  [[nodiscard]] core::Arena& arena() { return arena_; }
  [[nodiscard]] layers::Context context() { return {.kernels = kernels_, .arena = arena_}; }

 private:
  const backend::Kernels& kernels_;
  std::shared_ptr<core::MemoryLedger> ledger_;
  core::Arena arena_;
};

}  // namespace llavasharp::model
