#include "train/zero.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <utility>

#include "core/error.h"

namespace llavasharp::train {

using core::fail;
using model::Pass;

// What a rank tells the others before an update.
struct Zero::Verdict {
  double squares = 0;   // Of its pieces' gradients.
  double loss = 0;      // The first that was not finite.
  int64_t micro = -1;   // In which micro-batch; -1: none was.
  int32_t unit = -1;    // Whose gradient is not finite in this rank's piece; -1: none.
  int32_t source = -1;  // Which rank brought that.
};

namespace {

// Every trainable unit is updated, by itself.
ZeroSteps single_steps(const model::Llava& model) {
  ZeroSteps steps;
  auto& update = steps.at(LLV_ZERO_UPDATE);
  update.push_back({.phase = LLV_ZERO_UPDATE, .op = LLV_ZERO_NORM, .unit = 0, .joined = 0});
  const auto& units = model.table().units();
  for (size_t unit = 0; unit < units.size(); ++unit) {
    if (model.trains(units[unit].kind) && units[unit].floats > 0) {
      update.push_back({.phase = LLV_ZERO_UPDATE,
                        .op = LLV_ZERO_ADAMW,
                        .unit = static_cast<int32_t>(unit),
                        .joined = 0});
    }
  }
  return steps;
}

}  // namespace

Zero::Zero(model::Llava& model, const Offload& offload)
    : model_(model), steps_(single_steps(model)), shards_(model, offload, 0, 0, 1) {}

Zero::Zero(model::Llava& model, const Offload& offload, const ZeroOptions& options,
           std::shared_ptr<Communicator> communicator, std::span<const llv_zero_step> steps)
    : model_(model),
      options_(options),
      planned_(true),
      rank_(communicator->rank()),
      world_(communicator->world()),
      steps_(checked_steps(model, options, steps)),
      shards_(model, offload, options.stage, rank_, world_),
      communicator_(std::move(communicator)) {
  if (alone()) {
    return;
  }
  if (communicator_->device_memory()) {
    fail(LLV_UNSUPPORTED,
         "this communicator moves a device's memory, and the engine computes on the CPU: use MPI "
         "or Gloo");
  }
  const auto units = static_cast<size_t>(shards_.count());
  std::vector<ShardLayout> layouts;
  layouts.reserve(units);
  for (int32_t unit = 0; unit < shards_.count(); ++unit) {
    layouts.push_back(shards_.at(unit));
  }
  for (const int32_t op : {LLV_ZERO_GATHER, LLV_ZERO_REDUCE, LLV_ZERO_PUBLISH}) {
    joined_.at(static_cast<size_t>(op)).jobs.reserve(units);
    joined_.at(static_cast<size_t>(op)).units.reserve(units);
  }
  // Of a unit, a gather and a reduction at most are under way.
  exchange_ = std::make_unique<Exchange>(communicator_, options, model.engine().ledger(),
                                         staging_of(steps_, layouts, options, world_), 2 * units);
  verdicts_.resize(sizeof(Verdict) * static_cast<size_t>(world_));
}

// The model must not keep what was lent to it.
Zero::~Zero() {
  exchange_.reset();
  for (int32_t unit = 0; unit < shards_.count(); ++unit) {
    shards_.close_weights(unit);
    model_.keep_part(unit, {});
  }
}

Label Zero::label(const char* op, int32_t unit) const {
  return {.step = step_,
          .op = op,
          .unit = model_.table().units()[static_cast<size_t>(unit)].name.c_str()};
}

void Zero::begin_micro(int64_t step, int64_t micro) {
  step_ = step;
  micro_ = micro;
  const bool last = micro + 1 >= options_.accumulation;
  phase_ = &steps_.at(last ? LLV_ZERO_LAST : LLV_ZERO_MICRO);
  cursor_ = 0;
}

void Zero::reach(Pass pass, int32_t unit) {
  const int32_t op = pass == Pass::kForward ? LLV_ZERO_FORWARD : LLV_ZERO_BACKWARD;
  while (cursor_ < phase_->size()) {
    const llv_zero_step& step = (*phase_)[cursor_++];
    execute(step);
    if (step.op == op && step.unit == unit) {
      return;
    }
  }
  fail(LLV_INTERNAL, "the plan does not come to unit %d", unit);
}

void Zero::finish_micro() {
  while (cursor_ < phase_->size()) {
    execute((*phase_)[cursor_++]);
  }
}

void Zero::note_loss(double loss) {
  if (bad_micro_ < 0) {
    bad_micro_ = micro_;
    bad_loss_ = loss;
  }
}

void Zero::execute(const llv_zero_step& step) {
  if (step.op == LLV_ZERO_REDUCE) {
    meet_fault(step.unit);
  }
  if (alone()) {
    return;
  }
  UnitShard& shard = shards_.at(step.unit);
  switch (step.op) {
    case LLV_ZERO_GATHER:
      begin(step, gathering(step.unit));
      break;
    case LLV_ZERO_WAIT:
      exchange_->wait(shard.ticket);
      shards_.lend_weights(step.unit);
      break;
    case LLV_ZERO_RELEASE:
      shards_.close_weights(step.unit);
      break;
    case LLV_ZERO_BACKWARD:
      open_gradients(step.unit);
      break;
    case LLV_ZERO_REDUCE:
      begin(step, reduction(step.unit));
      break;
    case LLV_ZERO_SETTLE:
      settle(step.unit);
      break;
    default:
      break;
  }
}

// All that are joined to this step are one exchange, whose end each of them waits for.
void Zero::begin(const llv_zero_step& step, const Job& job) {
  Joined& joined = joined_.at(static_cast<size_t>(step.op));
  joined.jobs.push_back(job);
  joined.units.push_back(step.unit);
  if (step.joined != 0) {
    return;
  }
  const int64_t ticket = exchange_->begin(joined.jobs);
  for (const int32_t unit : joined.units) {
    shards_.at(unit).ticket = ticket;
  }
  joined.jobs.clear();
  joined.units.clear();
}

Job Zero::gathering(int32_t unit) {
  UnitShard& shard = shards_.at(unit);
  return {.kind = Job::Kind::kGather,
          .label = label("gather", unit),
          .pieces = shard.pieces,
          .whole = shards_.open_weights(unit),
          .own = shard.weights.data()};
}

// A layer's adapters have theirs from here on, too.
void Zero::open_gradients(int32_t unit) {
  const model::ParameterTable& table = model_.table();
  shards_.open_gradient(unit);
  const int32_t layer = table.layer_of(unit);
  for (int32_t other = unit + 1; layer >= 0 && other < shards_.count(); ++other) {
    if (table.units()[static_cast<size_t>(other)].kind == LLV_UNIT_LORA &&
        table.layer_of(other) == layer) {
      shards_.open_gradient(other);
    }
  }
}

Job Zero::reduction(int32_t unit) {
  UnitShard& shard = shards_.at(unit);
  float* whole = shards_.gradient_data(unit);
  // Where a gradient is whole between micro-batches, the sum takes its own piece's place.
  float* sum = shard.sharded_gradient ? shard.gradient.data() : whole + shard.pieces.begin(rank_);
  return {.kind = Job::Kind::kReduce,
          .label = label("reduce", unit),
          .pieces = shard.pieces,
          .whole = whole,
          .sum = sum,
          .add = shard.sharded_gradient,
          .spread = options_.stage == 0,
          .bad_rank = &shard.bad_rank};
}

void Zero::settle(int32_t unit) {
  exchange_->wait(shards_.at(unit).ticket);
  shards_.close_gradient(unit);
}

Job Zero::publication(int32_t unit) const {
  return {.kind = Job::Kind::kGather,
          .label = label("publish", unit),
          .pieces = shards_.at(unit).pieces,
          .whole = model_.unit_data(unit)};
}

// The faults of a rank: it dies, or computes nonsense. Those of a transport are Exchange's.
void Zero::meet_fault(int32_t unit) {
  if (options_.fault_rank != rank_ || options_.fault_step != step_ || fault_met_) {
    return;
  }
  fault_met_ = true;
  if (options_.fault == LLV_FAULT_KILL) {
    static_cast<void>(std::raise(SIGKILL));
  }
  float* gradient = shards_.gradient_data(unit);
  if (options_.fault == LLV_FAULT_NAN && gradient != nullptr) {
    gradient[0] = std::numeric_limits<float>::quiet_NaN();
  }
}

double Zero::own_squares(int32_t& broken) const {
  double sum = 0;
  broken = -1;
  for (int32_t unit = 0; unit < shards_.count(); ++unit) {
    const UnitShard& shard = shards_.at(unit);
    if (!shard.trains) {
      continue;
    }
    // Its piece alone, also where it holds the sum of all.
    const int64_t begin = shard.sharded_gradient ? 0 : shard.pieces.begin(rank_);
    const double squares = model_.engine().kernels().sum_squares(shard.gradient.data() + begin,
                                                                 shard.pieces.count(rank_));
    if (!std::isfinite(squares) && broken < 0) {
      broken = unit;
    }
    sum += squares;
  }
  return sum;
}

double Zero::norm() {
  int32_t broken = -1;
  Verdict own{.squares = own_squares(broken), .loss = bad_loss_, .micro = bad_micro_};
  if (alone()) {
    if (broken >= 0) {
      fail(LLV_NUMERIC, "the gradient of %s is not finite: nothing was updated",
           label("", broken).unit);
    }
    return std::sqrt(own.squares);
  }
  for (int32_t unit = 0; unit < shards_.count() && own.unit < 0; ++unit) {
    if (shards_.at(unit).bad_rank >= 0) {
      own.unit = unit;
      own.source = shards_.at(unit).bad_rank;
    }
  }
  exchange_->all_gather({.step = step_, .op = "norm", .unit = ""},
                        std::as_bytes(std::span(&own, 1)), verdicts_);
  double sum = 0;
  Verdict gradient;
  for (int32_t rank = 0; rank < world_; ++rank) {
    Verdict verdict;
    std::memcpy(&verdict, verdicts_.data() + sizeof(Verdict) * static_cast<size_t>(rank),
                sizeof(Verdict));
    if (verdict.micro >= 0) {
      fail(LLV_NUMERIC,
           "step %lld: the loss of rank %d in micro-batch %lld is %g: nothing was updated",
           static_cast<long long>(step_), rank, static_cast<long long>(verdict.micro),
           verdict.loss);
    }
    if (verdict.unit >= 0 && gradient.unit < 0) {
      gradient = verdict;
    }
    sum += verdict.squares;
  }
  if (gradient.unit >= 0) {
    fail(LLV_NUMERIC,
         "step %lld: the gradient of %s from rank %d is not finite: nothing was updated",
         static_cast<long long>(step_), label("", gradient.unit).unit, gradient.source);
  }
  return std::sqrt(sum);
}

// While a unit is updated the next one's state comes from its file, if it lies in one.
void Zero::update(core::Call<void(double)> take, core::Call<void(int32_t)> update) {
  const std::vector<llv_zero_step>& steps = steps_.at(LLV_ZERO_UPDATE);
  for (size_t at = 0; at < steps.size(); ++at) {
    const llv_zero_step& step = steps[at];
    if (step.op == LLV_ZERO_NORM) {
      take(norm());
    } else if (step.op == LLV_ZERO_ADAMW) {
      const auto next = std::find_if(steps.begin() + static_cast<int64_t>(at) + 1, steps.end(),
                                     [](const auto& one) { return one.op == LLV_ZERO_ADAMW; });
      if (next != steps.end()) {
        shards_.fetch_state(next->unit);
      }
      update(step.unit);
      shards_.leave_state(step.unit);
    } else if (!alone()) {
      begin(step, publication(step.unit));
    }
  }
  if (!alone()) {
    exchange_->wait_all();
  }
}

void Zero::clear() {
  bad_micro_ = -1;
  for (int32_t unit = 0; unit < shards_.count(); ++unit) {
    shards_.at(unit).bad_rank = -1;
  }
  shards_.clear_gradients();
}

void Zero::abandon(const std::string& reason) noexcept {
  if (communicator_) {
    communicator_->abandon(reason);
  }
}

}  // namespace llavasharp::train
