// llv_batch as the spans that the engine reads.
#pragma once

#include "include/llavasharp.h"
#include "model/batch.h"

namespace llavasharp::abi {

[[nodiscard]] model::Batch batch_of(const llv_batch* batch);

}  // namespace llavasharp::abi
