// The memory of a training step, computed from its sizes: what the passes take from the arena, in
// their order, without making any of it. A test holds it to what a step really takes.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/parameters.h"

namespace llavasharp::model {

// llv_workload
struct Workload {
  int64_t tokens = 0;      // T
  int64_t samples = 0;     // B
  int64_t supervised = 0;  // R
  int64_t images = 0;      // N
  int32_t units = 0;       // llv_unit_kind bits
  int64_t lora_rank = 0;   // 0: no adapters.
  bool lora_decomposed = false;
  int64_t recompute_layers = 0;
  int32_t threads = 1;
};

// llv_plan, in bytes.
struct Plan {
  int64_t parameters = 0;
  int64_t gradients = 0;
  int64_t optimizer = 0;
  int64_t transient = 0;  // Of sharded training.
  int64_t workspace = 0;
  int64_t scratch = 0;
  [[nodiscard]] int64_t total() const {
    return parameters + gradients + optimizer + transient + workspace + scratch;
  }
};

// The table of a model with the workload's adapters, which nobody has made.
[[nodiscard]] ParameterTable planned_table(const Config& config, const Workload& workload);

// Throws LLV_INVALID, naming the field and its value.
void check_workload(const Config& config, const Workload& work);

// The same.
[[nodiscard]] Plan plan_step(const Config& config, const Workload& workload);

}  // namespace llavasharp::model
