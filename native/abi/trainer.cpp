// llv_trainer_*.
#include "abi/batch.h"
#include "abi/checks.h"
#include "abi/guard.h"
#include "abi/objects.h"
#include "abi/options.h"
#include "include/llavasharp.h"

namespace abi = llavasharp::abi;
namespace core = llavasharp::core;
namespace train = llavasharp::train;

llv_status llv_trainer_options_init(llv_trainer_options* out_options) {
  return abi::guard([&] {
    abi::require(out_options, "out_options");
    const train::AdamWOptions defaults;
    *out_options = {.size = sizeof(llv_trainer_options),
                    .beta1 = defaults.beta1,
                    .beta2 = defaults.beta2,
                    .eps = defaults.eps,
                    .recompute_layers = 0,
                    .tokens_at_once = 0,
                    .offload_folder = "",
                    .offload_optimizer = 0,
                    .offload_weights = 0};
  });
}

llv_status llv_trainer_create(llv_model* model, const llv_trainer_options* options,
                              llv_trainer** out_trainer) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    abi::require_options(options, "options");
    abi::require(out_trainer, "out_trainer");
    abi::require_no_trainer(*inside.share());
    *out_trainer = new llv_trainer(
        std::make_shared<abi::TrainerObject>(inside.share(), abi::adamw_of(*options)));
  });
}

void llv_trainer_release(llv_trainer* trainer) {
  abi::release(trainer);
}

llv_status llv_trainer_groups_set(llv_trainer* trainer, const int32_t* groups,
                                  int64_t groups_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    inside->trainer.set_groups(abi::span_of(groups, groups_count, "groups"));
  });
}

llv_status llv_trainer_accumulate(llv_trainer* trainer, const llv_batch* batch,
                                  double gradient_scale, llv_loss* out_loss) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    abi::require(out_loss, "out_loss");
    const llavasharp::model::Loss loss =
        inside->trainer.accumulate(abi::batch_of(batch), gradient_scale);
    *out_loss = {.sum = loss.sum, .tokens = loss.tokens};
  });
}

llv_status llv_trainer_step(llv_trainer* trainer, const llv_group* groups, int64_t groups_count,
                            double max_gradient_norm, double* out_gradient_norm) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    abi::require(out_gradient_norm, "out_gradient_norm");
    std::vector<train::Group>& own = inside->groups;
    own.clear();
    for (const llv_group& group : abi::span_of(groups, groups_count, "groups")) {
      own.push_back({.learning_rate = group.learning_rate, .weight_decay = group.weight_decay});
    }
    *out_gradient_norm = inside->trainer.step(own, max_gradient_norm);
  });
}

llv_status llv_trainer_gradients_clear(llv_trainer* trainer) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    inside->trainer.clear_gradients();
  });
}

llv_status llv_trainer_slot_read(llv_trainer* trainer, int32_t slot, const char* name,
                                 float* out_values, int64_t values_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    abi::require(name, "name");
    inside->trainer.read_slot(abi::slot_of(slot, LLV_SLOT_SECOND_MOMENT), name,
                              abi::span_of(out_values, values_count, "values"));
  });
}

llv_status llv_trainer_slot_write(llv_trainer* trainer, int32_t slot, const char* name,
                                  const float* values, int64_t values_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    abi::require(name, "name");
    inside->trainer.write_slot(abi::slot_of(slot, LLV_SLOT_SECOND_MOMENT), name,
                               abi::span_of(values, values_count, "values"));
  });
}

llv_status llv_trainer_step_count_get(llv_trainer* trainer, int64_t* out_steps) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    abi::require(out_steps, "out_steps");
    *out_steps = inside->trainer.steps();
  });
}

llv_status llv_trainer_step_count_set(llv_trainer* trainer, int64_t steps) {
  return abi::guard([&] {
    const auto inside = abi::enter(trainer, "trainer");
    inside->trainer.set_steps(steps);
  });
}
