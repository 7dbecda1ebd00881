#include "train/trainer.h"

#include <algorithm>
#include <cmath>

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

}  // namespace

Trainer::Trainer(model::Llava& model, const AdamWOptions& options)
    : model_(model), options_(options), groups_(model.table().parameters().size(), 0) {
  check_options(options);
  if (model.trains(LLV_UNIT_LORA) && model.lora_merged()) {
    fail(LLV_STATE, "the adapters are merged: unmerge them before training them");
  }
  std::vector<float*> gradients;
  bool any = false;
  for (const model::Unit& unit : model.table().units()) {
    Slots slots;
    if (model.trains(unit.kind) && unit.floats > 0) {
      const auto make = [&](core::Purpose purpose) {
        return core::Buffer(model.engine().ledger(), purpose, unit.floats, true);
      };
      slots = {make(core::Purpose::kGradients), make(core::Purpose::kOptimizer),
               make(core::Purpose::kOptimizer)};
      any = true;
    }
    gradients.push_back(slots[0].data());
    units_.push_back(std::move(slots));
  }
  if (!any) {
    fail(LLV_STATE, "nothing is trainable: choose units with llv_model_trainable_set first");
  }
  gradients_ = model::bind_weights(model.table(), gradients);
}

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

model::Loss Trainer::accumulate(const model::Batch& batch, double scale) {
  if (!std::isfinite(scale)) {
    fail(LLV_INVALID, "gradient_scale is %g: must be finite", scale);
  }
  if (state_ == Gradients::kBroken) {
    fail(LLV_STATE, "an earlier micro-batch failed half-way: clear the gradients first");
  }
  model::check_batch(batch, model_.config());  // Nothing is touched when this fails.
  const Gradients before = state_;
  state_ = Gradients::kBroken;
  try {
    const uint64_t key =
        backend::mix_keys(static_cast<uint64_t>(steps_), static_cast<uint64_t>(micro_batches_), 0);
    const model::Loss loss = model::run_gradients(model_, batch, gradients_,
                                                  {.scale = scale,
                                                   .dropout = {.active = true, .key = key},
                                                   .recompute = options_.recompute_layers});
    state_ = Gradients::kSome;
    ++micro_batches_;
    return loss;
  } catch (const core::Error& error) {
    if (error.status() == LLV_INVALID || error.status() == LLV_SHAPE) {
      state_ = before;  // Refused before anything was computed.
    }
    throw;
  }
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
  const double norm = gradient_norm();
  if (!std::isfinite(norm)) {
    fail(LLV_NUMERIC, "the gradient norm is %g: nothing was updated", norm);
  }
  const double scale =
      max_gradient_norm > 0 ? std::min(1.0, max_gradient_norm / (norm + kClipEps)) : 1.0;
  update(groups, scale);
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

double Trainer::gradient_norm() const {
  double sum = 0;
  for (const Slots& slots : units_) {
    if (slots[0].floats() > 0) {
      sum += model_.engine().kernels().sum_squares(slots[0].data(), slots[0].floats());
    }
  }
  return std::sqrt(sum);
}

void Trainer::update(std::span<const Group> groups, double gradient_scale) {
  ++steps_;
  const auto t = static_cast<double>(steps_);
  backend::AdamWStep step{.learning_rate = 0,
                          .beta1 = static_cast<float>(options_.beta1),
                          .beta2 = static_cast<float>(options_.beta2),
                          .eps = static_cast<float>(options_.eps),
                          .weight_decay = 0,
                          .bias_correction1 = static_cast<float>(1 - std::pow(options_.beta1, t)),
                          .bias_correction2 = static_cast<float>(1 - std::pow(options_.beta2, t)),
                          .gradient_scale = static_cast<float>(gradient_scale)};
  const auto& parameters = model_.table().parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const model::Parameter& parameter = parameters[i];
    if (!model_.trains(parameter.unit_kind)) {
      continue;
    }
    const Group& group = groups[static_cast<size_t>(groups_[i])];
    step.learning_rate = static_cast<float>(group.learning_rate);
    step.weight_decay = static_cast<float>(group.weight_decay);
    model_.engine().kernels().adamw(
        model_.values(parameter).data(), slot(Slot::kGradient, parameter).data(),
        slot(Slot::kFirstMoment, parameter).data(), slot(Slot::kSecondMoment, parameter).data(),
        parameter.count, step);
  }
}

void Trainer::clear_gradients() {
  for (const Slots& slots : units_) {
    if (slots[0].floats() > 0) {
      model_.engine().kernels().fill(core::dense(slots[0].data(), 1, slots[0].floats()), 0.0F);
    }
  }
  state_ = Gradients::kNone;
  micro_batches_ = 0;
}

std::span<float> Trainer::slot(Slot slot, const model::Parameter& parameter) {
  const core::Buffer& buffer =
      units_[static_cast<size_t>(parameter.unit)].at(static_cast<size_t>(slot));
  return {buffer.data() + parameter.offset, static_cast<size_t>(parameter.count)};
}

const model::Parameter& Trainer::find_trainable(std::string_view name) {
  const model::Parameter& parameter = model_.table().find(name);
  if (!model_.trains(parameter.unit_kind)) {
    fail(LLV_STATE, "'%s' is frozen: it has no gradient and no optimizer state",
         parameter.name.c_str());
  }
  return parameter;
}

void Trainer::read_slot(Slot slot_kind, std::string_view name, std::span<float> values) {
  const model::Parameter& parameter = find_trainable(name);
  model::check_count(parameter, static_cast<int64_t>(values.size()));
  std::ranges::copy(slot(slot_kind, parameter), values.begin());
}

void Trainer::write_slot(Slot slot_kind, std::string_view name, std::span<const float> values) {
  const model::Parameter& parameter = find_trainable(name);
  model::check_count(parameter, static_cast<int64_t>(values.size()));
  std::ranges::copy(values, slot(slot_kind, parameter).begin());
  if (slot_kind == Slot::kGradient && state_ == Gradients::kNone) {
    state_ = Gradients::kSome;
  }
}

void Trainer::set_steps(int64_t steps) {
  if (steps < 0) {
    fail(LLV_INVALID, "steps is %lld: must not be negative", static_cast<long long>(steps));
  }
  steps_ = steps;
}

}  // namespace llavasharp::train
