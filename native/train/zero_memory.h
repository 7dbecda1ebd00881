// The memory of sharded training, computed from a plan's steps: what Shards and Exchange will hold,
// without making any of it. A test holds it to what ranks really take.
#pragma once

#include <cstdint>
#include <span>

#include "include/llavasharp.h"
#include "model/plan.h"
#include "train/zero_plan.h"

namespace llavasharp::train {

// For rank 0, of which none holds more. Throws LLV_INVALID for options, a world or a unit out of
// range.
[[nodiscard]] model::Plan plan_sharded_step(const model::Config& config,
                                            const model::Workload& workload,
                                            const ZeroOptions& options, int32_t world,
                                            std::span<const llv_zero_step> steps);

}  // namespace llavasharp::train
