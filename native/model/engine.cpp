#include "model/engine.h"

#include "core/parallel.h"

namespace llavasharp::model {

Engine::Engine(int32_t device, int32_t threads)
    : kernels_(backend::kernels_for(device)),
      ledger_(std::make_shared<core::MemoryLedger>()),
      arena_(ledger_) {
  core::set_threads(threads);
}

}  // namespace llavasharp::model
