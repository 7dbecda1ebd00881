// llv_workload_init and llv_plan_get.
#include "model/plan.h"

#include "abi/checks.h"
#include "abi/guard.h"
#include "include/llavasharp.h"

namespace abi = llavasharp::abi;
namespace model_ns = llavasharp::model;

llv_status llv_workload_init(llv_workload* out_workload) {
  return abi::guard([&] {
    abi::require(out_workload, "out_workload");
    *out_workload = {};
    out_workload->size = sizeof(llv_workload);
    out_workload->threads = 1;
  });
}

llv_status llv_plan_get(const llv_model_config* config, const llv_workload* workload,
                        llv_plan* out_plan) {
  return abi::guard([&] {
    abi::require_options(config, "config");
    abi::require_options(workload, "workload");
    abi::require(out_plan, "out_plan");
    const model_ns::Plan plan = model_ns::plan_step(
        model_ns::Config(*config), {.tokens = workload->tokens,
                                    .samples = workload->samples,
                                    .supervised = workload->supervised,
                                    .images = workload->images,
                                    .units = workload->units,
                                    .lora_rank = workload->lora_rank,
                                    .lora_decomposed = workload->lora_decomposed != 0,
                                    .recompute_layers = workload->recompute_layers,
                                    .threads = workload->threads});
    *out_plan = {.parameters = plan.parameters,
                 .gradients = plan.gradients,
                 .optimizer = plan.optimizer,
                 .workspace = plan.workspace,
                 .scratch = plan.scratch,
                 .total = plan.total()};
  });
}
