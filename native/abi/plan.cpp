// llv_workload_init and llv_plan_*.
#include "model/plan.h"

#include "abi/checks.h"
#include "abi/guard.h"
#include "abi/options.h"
#include "include/llavasharp.h"
#include "train/zero_memory.h"

namespace abi = llavasharp::abi;
namespace model_ns = llavasharp::model;

namespace {

model_ns::Workload work_of(const llv_workload& workload) {
  return {.tokens = workload.tokens,
          .samples = workload.samples,
          .supervised = workload.supervised,
          .images = workload.images,
          .units = workload.units,
          .lora_rank = workload.lora_rank,
          .lora_decomposed = workload.lora_decomposed != 0,
          .recompute_layers = workload.recompute_layers,
          .threads = workload.threads};
}

llv_plan plan_of(const model_ns::Plan& plan) {
  return {.parameters = plan.parameters,
          .gradients = plan.gradients,
          .optimizer = plan.optimizer,
          .transient = plan.transient,
          .workspace = plan.workspace,
          .scratch = plan.scratch,
          .total = plan.total()};
}

}  // namespace

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
    *out_plan = plan_of(model_ns::plan_step(model_ns::Config(*config), work_of(*workload)));
  });
}

llv_status llv_plan_sharded_get(const llv_model_config* config, const llv_workload* workload,
                                const llv_zero_options* zero, int32_t world,
                                const llv_zero_step* steps, int64_t steps_count,
                                llv_plan* out_plan) {
  return abi::guard([&] {
    abi::require_options(config, "config");
    abi::require_options(workload, "workload");
    abi::require_options(zero, "zero");
    abi::require(out_plan, "out_plan");
    *out_plan = plan_of(llavasharp::train::plan_sharded_step(
        model_ns::Config(*config), work_of(*workload), abi::zero_of(*zero), world,
        abi::span_of(steps, steps_count, "steps")));
  });
}
