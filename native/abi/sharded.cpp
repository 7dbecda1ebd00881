// llv_trainer_create_sharded, llv_trainer_shard_*, llv_zero_*, llv_trainer_traffic_get.
#include "abi/checks.h"
#include "abi/guard.h"
#include "abi/objects.h"
#include "abi/options.h"
#include "include/llavasharp.h"

namespace abi = llavasharp::abi;
namespace train = llavasharp::train;

llv_status llv_zero_options_init(llv_zero_options* out_options) {
  return abi::guard([&] {
    abi::require(out_options, "out_options");
    const train::ZeroOptions defaults;
    *out_options = {.size = sizeof(llv_zero_options),
                    .stage = defaults.stage,
                    .accumulation = defaults.accumulation,
                    .reduce_bucket = defaults.reduce_bucket,
                    .delay_us = defaults.delay_us,
                    .fault = defaults.fault,
                    .fault_rank = defaults.fault_rank,
                    .fault_step = defaults.fault_step};
  });
}

llv_status llv_trainer_create_sharded(llv_model* model, const llv_trainer_options* options,
                                      llv_communicator* communicator, const llv_zero_options* zero,
                                      const llv_zero_step* steps, int64_t steps_count,
                                      llv_trainer** out_trainer) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    abi::require_options(options, "options");
    abi::require(communicator, "communicator");
    abi::require_options(zero, "zero");
    abi::require(out_trainer, "out_trainer");
    abi::require_no_trainer(*inside.share());
    *out_trainer = new llv_trainer(std::make_shared<abi::TrainerObject>(
        inside.share(), abi::adamw_of(*options), abi::zero_of(*zero), communicator->object,
        abi::span_of(steps, steps_count, "steps")));
  });
}

llv_status llv_trainer_shard_get(llv_trainer* trainer, int32_t slot, int32_t unit,
                                 llv_shard* out_shard) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    abi::require(out_shard, "out_shard");
    const train::Range part = inside->trainer.shard(abi::slot_of(slot, LLV_SLOT_WEIGHT), unit);
    const auto& units = inside->model->model.table().units();
    *out_shard = {
        .begin = part.begin, .count = part.count, .whole = units[static_cast<size_t>(unit)].floats};
  });
}

llv_status llv_trainer_shard_read(llv_trainer* trainer, int32_t slot, int32_t unit,
                                  float* out_values, int64_t values_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    inside->trainer.read_shard(abi::slot_of(slot, LLV_SLOT_WEIGHT), unit,
                               abi::span_of(out_values, values_count, "values"));
  });
}

llv_status llv_trainer_shard_write(llv_trainer* trainer, int32_t slot, int32_t unit,
                                   const float* values, int64_t values_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    inside->trainer.write_shard(abi::slot_of(slot, LLV_SLOT_WEIGHT), unit,
                                abi::span_of(values, values_count, "values"));
  });
}

llv_status llv_trainer_traffic_get(llv_trainer* trainer, llv_traffic* out_traffic) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    abi::require(out_traffic, "out_traffic");
    const train::Traffic traffic = inside->trainer.traffic();
    *out_traffic = {.exchanges = traffic.exchanges,
                    .bytes = traffic.bytes,
                    .busy_seconds = traffic.busy_seconds,
                    .exposed_seconds = traffic.exposed_seconds};
  });
}
