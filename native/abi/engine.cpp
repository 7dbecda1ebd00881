// llv_engine_*.
#include "abi/checks.h"
#include "abi/guard.h"
#include "abi/log.h"
#include "abi/objects.h"
#include "core/libtorch.h"
#include "core/parallel.h"
#include "core/process.h"
#include "include/llavasharp.h"

namespace abi = llavasharp::abi;
namespace core = llavasharp::core;

llv_status llv_engine_options_init(llv_engine_options* out_options) {
  return abi::guard([&] {
    abi::require(out_options, "out_options");
    *out_options = {.size = sizeof(llv_engine_options),
                    .device = LLV_DEVICE_CPU,
                    .index = 0,
                    .threads = 0,
                    .reserved = 0};
  });
}

llv_status llv_engine_create(const llv_engine_options* options, llv_engine** out_engine) {
  return abi::guard([&] {
    abi::require_options(options, "options");
    abi::require(out_engine, "out_engine");
    if (options->device < LLV_DEVICE_CPU || options->device > LLV_DEVICE_HPU) {
      core::fail(LLV_INVALID, "device is %d: must be %d to %d", options->device, LLV_DEVICE_CPU,
                 LLV_DEVICE_HPU);
    }
    if (options->index < 0 || (options->device == LLV_DEVICE_CPU && options->index != 0)) {
      core::fail(LLV_INVALID, "index is %d: the CPU is device 0, others count from 0",
                 options->index);
    }
    if (options->threads < 0 || options->threads > 4096) {
      core::fail(LLV_INVALID, "threads is %d: must be 0 (libtorch's choice) to 4096",
                 options->threads);
    }
    auto engine = std::make_shared<abi::EngineObject>(options->device, options->threads);
    abi::log(LLV_LOG_INFO, "engine %s: %s kernels, %d threads, libtorch %s", LLAVASHARP_VERSION,
             engine->engine.kernels().name, core::threads(), core::libtorch_version());
    *out_engine = new llv_engine(std::move(engine));
  });
}

void llv_engine_release(llv_engine* engine) {
  abi::release(engine);
}

llv_status llv_engine_threads_get(llv_engine* engine, int32_t* out_threads) {
  return abi::guard([&] {
    const auto inside = abi::enter(engine, "engine");
    abi::require(out_threads, "out_threads");
    *out_threads = core::threads();
  });
}

llv_status llv_engine_memory_get(llv_engine* engine, int32_t reset_peak, llv_memory* out_memory) {
  return abi::guard([&] {
    const auto inside = abi::enter(engine, "engine");
    abi::require(out_memory, "out_memory");
    core::MemoryLedger& ledger = *inside->engine.ledger();
    const core::ResidentMemory resident = core::resident_memory();
    *out_memory = {.parameters = ledger.held(core::Purpose::kParameters),
                   .gradients = ledger.held(core::Purpose::kGradients),
                   .optimizer = ledger.held(core::Purpose::kOptimizer),
                   .transient = ledger.held(core::Purpose::kTransient),
                   .workspace = ledger.held(core::Purpose::kWorkspace),
                   .mapped = ledger.held(core::Purpose::kMapped),
                   .peak = ledger.peak(),
                   .resident = resident.now,
                   .resident_peak = resident.peak};
    if (reset_peak != 0) {
      ledger.reset_peak();
    }
  });
}
