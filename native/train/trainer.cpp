#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/error.h"

namespace llavasharp::train {
namespace {

using core::fail;

constexpr double kClipEps = 1e-6;  // torch.nn.utils.clip_grad_norm_'s.

void check_options(const AdamWOptions& options) {
  const auto check_beta = [](const char* name, double value) {
    if (!(value >= 0 && value < 1)) {
      fail(LLV_INVALID, "%s is %g: must be 0 or more and below 1", name, value);
    }
  };
  check_beta("beta1", options.beta1);
  check_beta("beta2", options.beta2);
  if (!(options.eps >= 0 && std::isfinite(options.eps))) {
    fail(LLV_INVALID, "eps is %g: must be 0 or more, and finite", options.eps);
  }
}

void check_not_negative(const char* name, size_t group, double value) {
  if (!(value >= 0 && std::isfinite(value))) {
    fail(LLV_INVALID, "%s of group %zu is %g: must be 0 or more, and finite", name, group, value);
  }
}

void check_part(const Range& part, size_t given) {
  if (part.data == nullptr && part.count > 0) {
    fail(LLV_STATE,
         "the unit is frozen and not stored as float32: llv_model_parameter_read and _write have "
         "its parameters");
  }
  if (static_cast<size_t>(part.count) != given) {
    fail(LLV_SHAPE, "this rank's part has %lld values, %zu were given",
         static_cast<long long>(part.count), given);
  }
}

// The model, when there is something to train in it.
model::Llava& checked(model::Llava& model, const AdamWOptions& options) {
  check_options(options);
  model.check_whole();
  if (model.trains(LLV_UNIT_LORA) && model.lora_merged()) {
    fail(LLV_STATE, "the adapters are merged: unmerge them before training them");
  }
  if (model.trains(LLV_UNIT_LAYER) && model.table().decomposed()) {
    fail(LLV_UNSUPPORTED,
         "the layers cannot train under DoRA adapters, which take their weights' lengths as fixed: "
         "train the adapters alone");
  }
  if (std::ranges::none_of(model.table().units(), [&](const model::Unit& unit) {
        return model.trains(unit.kind) && unit.floats > 0;
      })) {
    fail(LLV_STATE, "nothing is trainable: choose units with llv_model_trainable_set first");
  }
  return model;
}

// The model, unless the stage divides weights that are not float32.
model::Llava& divisible(model::Llava& model, const ZeroOptions& zero) {
  for (const model::Unit& unit : model.table().units()) {
    if (shards_weights(zero.stage, unit.kind)) {
      model.check_float32(unit.kind, "stage 3");
    }
  }
  return model;
}

}  // namespace

Trainer::Trainer(model::Llava& model, const AdamWOptions& options)
    : model_(checked(model, options)),
      options_(options),
      zero_(model, options.offload),
      groups_(model.table().parameters().size(), 0) {}

Trainer::Trainer(model::Llava& model, const AdamWOptions& options, const ZeroOptions& zero,
                 std::shared_ptr<Communicator> communicator, std::span<const llv_zero_step> steps)
    : model_(checked(model, options)),
      options_(options),
      zero_(divisible(model, zero), options.offload, zero, std::move(communicator), steps),
      groups_(model.table().parameters().size(), 0) {}

void Trainer::set_groups(std::span<const int32_t> groups) {
  if (groups.size() != groups_.size()) {
    fail(LLV_SHAPE, "%zu groups were given for %zu parameters", groups.size(), groups_.size());
  }
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] < 0) {
      fail(LLV_INVALID, "the group of '%s' is %d: must not be negative",
           model_.table().parameters()[i].name.c_str(), groups[i]);
    }
  }
  std::ranges::copy(groups, groups_.begin());
}

void Trainer::check_micro_batches(bool update) const {
  const int32_t wanted = zero_.accumulation();
  if (wanted > 0 && (update ? micro_batches_ < wanted : micro_batches_ >= wanted)) {
    fail(LLV_STATE, "an update of this plan is %d micro-batches: %lld were accumulated, %s", wanted,
         static_cast<long long>(micro_batches_),
         update ? "accumulate the rest first" : "llv_trainer_step comes next");
  }
}

model::Loss Trainer::accumulate(const model::Batch& batch, double scale) {
  if (!std::isfinite(scale)) {
    fail(LLV_INVALID, "gradient_scale is %g: must be finite", scale);
  }
  if (state_ == Gradients::kBroken) {
    fail(LLV_STATE, "an earlier micro-batch failed half-way: clear the gradients first");
  }
  check_micro_batches(false);
  model::check_batch(batch, model_.config());  // Nothing is touched when this fails.
  const Gradients before = state_;
  state_ = Gradients::kBroken;
  try {
    const model::Loss loss = run_micro_batch(batch, scale);
    state_ = Gradients::kSome;
    ++micro_batches_;
    return loss;
  } catch (const core::Error& error) {
    if (error.status() == LLV_INVALID || error.status() == LLV_SHAPE) {
      state_ = before;  // Refused before anything was computed.
    } else if (!zero_.alone()) {
      zero_.abandon(error.what());
    }
    throw;
  }
}

// A loss that is not finite ends a single process's micro-batch. Among ranks the others count on
// the rest of the plan, and learn of the loss at the update.
model::Loss Trainer::run_micro_batch(const model::Batch& batch, double scale) {
  // As if one process had taken the ranks' micro-batches in turn.
  const auto micro = static_cast<uint64_t>(micro_batches_ * zero_.world() + zero_.rank());
  const layers::Dropout dropout{.active = true,
                                .key = backend::mix_keys(static_cast<uint64_t>(steps_), micro, 0)};
  zero_.begin_micro(steps_, micro_batches_);
  model::Loss loss;
  try {
    loss = model::run_gradients(
        model_, batch, zero_.shards().gradients(),
        {.scale = scale,
         .dropout = dropout,
         .recompute = options_.recompute_layers,
         .order = zero_.planned() ? &zero_ : nullptr,
         .tokens_at_once = zero_.planned() ? batch.count() : options_.tokens_at_once});
  } catch (const core::Error& error) {
    if (error.status() != LLV_NUMERIC || zero_.alone()) {
      throw;
    }
    loss.sum = std::numeric_limits<double>::quiet_NaN();
    zero_.note_loss(loss.sum);
  }
  zero_.finish_micro();
  return loss;
}

double Trainer::step(std::span<const Group> groups, double max_gradient_norm) {
  if (!(max_gradient_norm >= 0 && std::isfinite(max_gradient_norm))) {
    fail(LLV_INVALID, "max_gradient_norm is %g: must be 0 (no clipping) or more, and finite",
         max_gradient_norm);
  }
  check_groups(groups);
  if (state_ == Gradients::kNone) {
    fail(LLV_STATE, "there are no gradients: accumulate a micro-batch first");
  }
  if (state_ == Gradients::kBroken) {
    fail(LLV_STATE, "the last micro-batch failed half-way: clear the gradients first");
  }
  check_micro_batches(true);
  double norm = 0;
  double scale = 1;
  const auto take = [&](double all) {
    norm = all;
    if (!std::isfinite(norm)) {
      fail(LLV_NUMERIC, "the gradient norm is %g: nothing was updated", norm);
    }
    scale = max_gradient_norm > 0 ? std::min(1.0, max_gradient_norm / (norm + kClipEps)) : 1.0;
    ++steps_;
  };
  zero_.update(take, [&](int32_t unit) { update(unit, groups, scale); });
  clear_gradients();
  return norm;
}

void Trainer::check_groups(std::span<const Group> groups) const {
  for (size_t i = 0; i < groups.size(); ++i) {
    check_not_negative("learning_rate", i, groups[i].learning_rate);
    check_not_negative("weight_decay", i, groups[i].weight_decay);
  }
  const auto& parameters = model_.table().parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (model_.trains(parameters[i].unit_kind) &&
        static_cast<size_t>(groups_[i]) >= groups.size()) {
      fail(LLV_INVALID, "'%s' is in group %d, and %zu groups were given",
           parameters[i].name.c_str(), groups_[i], groups.size());
    }
  }
}

void Trainer::update(int32_t unit, std::span<const Group> groups, double gradient_scale) {
  const auto t = static_cast<double>(steps_);
  backend::AdamWStep step{.learning_rate = 0,
                          .beta1 = options_.beta1,
                          .beta2 = options_.beta2,
                          .eps = options_.eps,
                          .weight_decay = 0,
                          .bias_correction1 = 1 - std::pow(options_.beta1, t),
                          .bias_correction2 = 1 - std::pow(options_.beta2, t),
                          .gradient_scale = gradient_scale};
  // A parameter lies in one piece or across several: what of it is this rank's is updated.
  const Range weights = zero_.shards().part(Slot::kWeight, unit);
  const Range gradients = zero_.shards().part(Slot::kGradient, unit);
  const Range first = zero_.shards().part(Slot::kFirstMoment, unit);
  const Range second = zero_.shards().part(Slot::kSecondMoment, unit);
  const auto& parameters = model_.table().parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const model::Parameter& parameter = parameters[i];
    const int64_t begin = std::max(parameter.offset, weights.begin);
    const int64_t end = std::min(parameter.offset + parameter.count, weights.begin + weights.count);
    if (parameter.unit != unit || begin >= end) {
      continue;
    }
    const Group& group = groups[static_cast<size_t>(groups_[i])];
    step.learning_rate = group.learning_rate;
    step.weight_decay = group.weight_decay;
    const int64_t at = begin - weights.begin;
    model_.engine().kernels().adamw(weights.data + at, gradients.data + at, first.data + at,
                                    second.data + at, end - begin, step);
  }
}

void Trainer::clear_gradients() {
  zero_.clear();
  state_ = Gradients::kNone;
  micro_batches_ = 0;
}

std::span<float> Trainer::slot(Slot slot_kind, std::string_view name) {
  const model::Parameter& parameter = model_.table().find(name);
  if (!model_.trains(parameter.unit_kind)) {
    fail(LLV_STATE, "'%s' is frozen: it has no gradient and no optimizer state",
         parameter.name.c_str());
  }
  const Range part = zero_.shards().part(slot_kind, parameter.unit);
  if (part.count < zero_.shards().at(parameter.unit).pieces.floats) {
    fail(LLV_STATE, "'%s' is sharded: use llv_trainer_shard_read and _write",
         parameter.name.c_str());
  }
  return {part.data + parameter.offset, static_cast<size_t>(parameter.count)};
}

void Trainer::read_slot(Slot slot_kind, std::string_view name, std::span<float> values) {
  const std::span<float> held = slot(slot_kind, name);
  model::check_count(model_.table().find(name), static_cast<int64_t>(values.size()));
  std::ranges::copy(held, values.begin());
}

void Trainer::write_slot(Slot slot_kind, std::string_view name, std::span<const float> values) {
  const std::span<float> held = slot(slot_kind, name);
  model::check_count(model_.table().find(name), static_cast<int64_t>(values.size()));
  std::ranges::copy(values, held.begin());
  if (slot_kind == Slot::kGradient && state_ == Gradients::kNone) {
    state_ = Gradients::kSome;
  }
}

Range Trainer::shard(Slot slot_kind, int32_t unit) {
  if (unit < 0 || unit >= zero_.shards().count()) {
    fail(LLV_INVALID, "unit is %d: must be 0 to %d", unit, zero_.shards().count() - 1);
  }
  if (slot_kind != Slot::kWeight && !zero_.shards().at(unit).trains) {
    fail(LLV_STATE, "'%s' is frozen: it has no gradient and no optimizer state",
         model_.table().units()[static_cast<size_t>(unit)].name.c_str());
  }
  return zero_.shards().part(slot_kind, unit);
}

void Trainer::read_shard(Slot slot_kind, int32_t unit, std::span<float> values) {
  const Range part = shard(slot_kind, unit);
  check_part(part, values.size());
  std::copy_n(part.data, part.count, values.begin());
}

void Trainer::write_shard(Slot slot_kind, int32_t unit, std::span<const float> values) {
  const Range part = shard(slot_kind, unit);
  check_part(part, values.size());
  if (slot_kind == Slot::kWeight && !zero_.alone() && !zero_.shards().at(unit).sharded_weights) {
    fail(LLV_STATE,
         "every rank holds all of '%s': write it whole, with "
         "llv_model_parameter_write",
         model_.table().units()[static_cast<size_t>(unit)].name.c_str());
  }
  std::ranges::copy(values, part.data);
}

void Trainer::set_steps(int64_t steps) {
  if (steps < 0) {
    fail(LLV_INVALID, "steps is %lld: must not be negative", static_cast<long long>(steps));
  }
  steps_ = steps;
}

}  // namespace llavasharp::train
