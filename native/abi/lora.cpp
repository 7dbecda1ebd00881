// llv_lora_init and llv_model_lora_*.
#include "abi/checks.h"
#include "abi/guard.h"
#include "abi/objects.h"
#include "include/llavasharp.h"

namespace abi = llavasharp::abi;
namespace core = llavasharp::core;
namespace model_ns = llavasharp::model;

namespace {

void require_no_trainer(const abi::ModelObject& object) {
  if (object.has_trainer) {
    core::fail(LLV_STATE, "a trainer exists: release it before changing adapters");
  }
}

}  // namespace

llv_status llv_lora_init(llv_lora* out_options) {
  return abi::guard([&] {
    abi::require(out_options, "out_options");
    *out_options = {.size = sizeof(llv_lora),
                    .alpha = 16,
                    .dropout = 0,
                    .seed = 0,
                    .rank = 8,
                    .rank_stabilized = 0,
                    .decomposed = 0,
                    .reserved = 0};
  });
}

llv_status llv_model_lora_attach(llv_model* model, const llv_lora* options,
                                 const char* weight_name) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    abi::require_options(options, "options");
    abi::require(weight_name, "weight_name");
    require_no_trainer(*inside.share());
    const model_ns::LoraOptions lora{.rank = options->rank,
                                     .alpha = options->alpha,
                                     .dropout = options->dropout,
                                     .seed = options->seed,
                                     .rank_stabilized = options->rank_stabilized != 0,
                                     .decomposed = options->decomposed != 0};
    inside->model.attach_lora(lora, weight_name);
  });
}

llv_status llv_model_lora_merge(llv_model* model) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    require_no_trainer(*inside.share());
    inside->model.merge_lora();
  });
}

llv_status llv_model_lora_unmerge(llv_model* model) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    require_no_trainer(*inside.share());
    inside->model.unmerge_lora();
  });
}
