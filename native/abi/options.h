// Options that more than one function takes, checked.
#pragma once

#include "abi/checks.h"
#include "abi/objects.h"
#include "core/error.h"
#include "include/llavasharp.h"

namespace llavasharp::abi {

// A slot up to `last`.
inline train::Slot slot_of(int32_t slot, int32_t last) {
  if (slot < LLV_SLOT_GRADIENT || slot > last) {
    core::fail(LLV_INVALID, "slot is %d: must be %d to %d", slot, LLV_SLOT_GRADIENT, last);
  }
  return static_cast<train::Slot>(slot);
}

inline train::AdamWOptions adamw_of(const llv_trainer_options& options) {
  if (options.recompute_layers < 0) {
    core::fail(LLV_INVALID, "recompute_layers is %d: must not be negative",
               options.recompute_layers);
  }
  if (options.tokens_at_once < 0) {
    core::fail(LLV_INVALID, "tokens_at_once is %d: must not be negative", options.tokens_at_once);
  }
  require(options.offload_folder, "options.offload_folder");
  const train::Offload offload{.folder = options.offload_folder,
                               .optimizer = options.offload_optimizer != 0,
                               .weights = options.offload_weights != 0};
  if (offload.folder.empty() && (offload.optimizer || offload.weights)) {
    core::fail(LLV_INVALID, "offload_folder is empty: name where the files go");
  }
  return {.beta1 = options.beta1,
          .beta2 = options.beta2,
          .eps = options.eps,
          .recompute_layers = static_cast<size_t>(options.recompute_layers),
          .tokens_at_once = options.tokens_at_once,
          .offload = offload};
}

inline train::ZeroOptions zero_of(const llv_zero_options& zero) {
  return {.stage = zero.stage,
          .accumulation = zero.accumulation,
          .reduce_bucket = zero.reduce_bucket,
          .delay_us = zero.delay_us,
          .fault = zero.fault,
          .fault_rank = zero.fault_rank,
          .fault_step = zero.fault_step};
}

inline void require_no_trainer(const ModelObject& model) {
  if (model.has_trainer) {
    core::fail(LLV_STATE, "the model has a trainer already: release it first");
  }
}

}  // namespace llavasharp::abi
