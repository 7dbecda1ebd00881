// A plan of sharded training as data: what each rank gathers, computes, reduces and updates, in
// which order. The host makes it; here it is checked before it is taken.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "include/llavasharp.h"
#include "model/llava.h"

namespace llavasharp::train {

inline constexpr size_t kPhases = 3;  // llv_zero_phase

struct ZeroOptions {
  int32_t stage = 0;
  int32_t accumulation = 1;
  int64_t reduce_bucket = int64_t{1} << 24;
  int64_t delay_us = 0;
  int32_t fault = LLV_FAULT_NONE;
  int32_t fault_rank = 0;
  int64_t fault_step = 0;
};

// The steps of each phase, in their order.
using ZeroSteps = std::array<std::vector<llv_zero_step>, kPhases>;

// Whether the stage shards the unit's weights.
[[nodiscard]] bool shards_weights(int32_t stage, int32_t unit_kind);

// Throws LLV_INVALID, naming what is out of range.
void check_options(const ZeroOptions& options);

// The steps by phase; throws LLV_INVALID for numbers out of range.
[[nodiscard]] ZeroSteps sorted_steps(const model::ParameterTable& table,
                                     std::span<const llv_zero_step> steps);

// Throws LLV_INVALID, with the step's index, unless every unit is whole where it computes, and
// every trainable unit is reduced, settled, updated and published once, in that order.
[[nodiscard]] ZeroSteps checked_steps(const model::Llava& model, const ZeroOptions& options,
                                      std::span<const llv_zero_step> steps);

}  // namespace llavasharp::train
