#include "train/shards.h"

#include <utility>

#include "train/zero_plan.h"

namespace llavasharp::train {

ShardLayout::ShardLayout(const model::Unit& unit, bool trained, int32_t stage, int32_t rank,
                         int32_t world)
    : pieces(unit.floats, world) {
  const bool alone = world == 1;  // Nothing to shard.
  trains = trained && unit.floats > 0;
  sharded_weights = !alone && unit.floats > 0 && shards_weights(stage, unit.kind);
  sharded_gradient = !alone && trains && stage >= 2;
  const bool own_piece = !alone && stage >= 1;
  begin = own_piece ? pieces.begin(rank) : 0;
  count = own_piece ? pieces.count(rank) : unit.floats;
}

Shards::Shards(model::Llava& model, const Offload& offload, int32_t stage, int32_t rank,
               int32_t world)
    : model_(model), offload_(offload) {
  for (const model::Unit& unit : model.table().units()) {
    UnitShard shard(unit, model.trains(unit.kind), stage, rank, world);
    if (shard.sharded_weights) {
      take_weights(static_cast<int32_t>(units_.size()), shard);
    }
    if (shard.trains) {
      shard.gradient = make(core::Purpose::kGradients, shard.kept_gradient());
      shard.first = make(core::Purpose::kOptimizer, shard.count, offload.optimizer);
      shard.second = make(core::Purpose::kOptimizer, shard.count, offload.optimizer);
    }
    addresses_.push_back(shard.sharded_gradient ? nullptr : shard.gradient.data());
    units_.push_back(std::move(shard));
  }
  gradients_ = model::bind_weights(model.table(), addresses_);
}

core::Buffer Shards::make(core::Purpose purpose, int64_t floats) const {
  return core::Buffer(model_.engine().ledger(), purpose, floats);
}

core::Buffer Shards::make(core::Purpose purpose, int64_t floats, bool in_file) const {
  return in_file ? core::Buffer(model_.engine().ledger(), offload_.folder, floats)
                 : make(purpose, floats);
}

void Shards::fetch_state(int32_t unit) const {
  for (const core::Buffer* buffer : {&at(unit).weights, &at(unit).first, &at(unit).second}) {
    buffer->fetch();
  }
}

void Shards::leave_state(int32_t unit) const {
  for (const core::Buffer* buffer : {&at(unit).weights, &at(unit).first, &at(unit).second}) {
    buffer->leave();
  }
}

void Shards::take_weights(int32_t unit, UnitShard& shard) {
  const core::Buffer whole = model_.take_unit(unit);
  shard.weights = make(core::Purpose::kParameters, shard.count, offload_.weights);
  if (shard.count > 0) {
    std::copy_n(whole.data() + shard.begin, shard.count, shard.weights.data());
  }
  model_.keep_part(
      unit,
      {.data = shard.weights.data(), .begin = shard.begin, .count = shard.count, .kept = true});
}

void Shards::bind(int32_t unit, float* gradient) {
  addresses_[static_cast<size_t>(unit)] = gradient;
  model::rebind_unit(gradients_, model_.table(), unit, addresses_);
}

void Shards::open_gradient(int32_t unit) {
  UnitShard& shard = at(unit);
  if (!shard.sharded_gradient || shard.whole_gradient.floats() > 0) {
    return;
  }
  shard.whole_gradient = gradient_pool_.take(
      shard.pieces.floats, [&](int64_t floats) { return make(core::Purpose::kTransient, floats); });
  model_.engine().kernels().fill(core::dense(shard.whole_gradient.data(), 1, shard.pieces.floats),
                                 0.0F);
  bind(unit, shard.whole_gradient.data());
}

void Shards::close_gradient(int32_t unit) {
  UnitShard& shard = at(unit);
  if (shard.whole_gradient.floats() > 0) {
    bind(unit, nullptr);
    gradient_pool_.give(std::move(shard.whole_gradient));
  }
}

float* Shards::open_weights(int32_t unit) {
  UnitShard& shard = at(unit);
  shard.whole_weights = weight_pool_.take(
      shard.pieces.floats, [&](int64_t floats) { return make(core::Purpose::kTransient, floats); });
  return shard.whole_weights.data();
}

void Shards::lend_weights(int32_t unit) {
  at(unit).weights.leave();
  model_.lend_unit(unit, at(unit).whole_weights.data());
}

void Shards::close_weights(int32_t unit) {
  UnitShard& shard = at(unit);
  if (shard.whole_weights.floats() > 0) {
    model_.lend_unit(unit, nullptr);
    weight_pool_.give(std::move(shard.whole_weights));
  }
}

Range Shards::part(Slot slot, int32_t unit) {
  UnitShard& shard = at(unit);
  const auto held = [&](core::Buffer& buffer, bool whole) {
    return Range{
        .data = buffer.data() == nullptr ? nullptr : buffer.data() + (whole ? shard.begin : 0),
        .begin = shard.begin,
        .count = shard.count};
  };
  switch (slot) {
    case Slot::kGradient:
      return held(shard.gradient, !shard.sharded_gradient);
    case Slot::kFirstMoment:
      return held(shard.first, false);
    case Slot::kSecondMoment:
      return held(shard.second, false);
    case Slot::kWeight:
      break;
  }
  if (shard.sharded_weights) {
    return held(shard.weights, false);
  }
  float* data = model_.unit_data(unit);
  return {.data = data == nullptr ? nullptr : data + shard.begin,
          .begin = shard.begin,
          .count = shard.count};
}

void Shards::clear_gradients() {
  for (const UnitShard& shard : units_) {
    if (shard.gradient.floats() > 0) {
      model_.engine().kernels().fill(core::dense(shard.gradient.data(), 1, shard.gradient.floats()),
                                     0.0F);
    }
  }
}

}  // namespace llavasharp::train
