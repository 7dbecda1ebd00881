#include "train/exchange.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace llavasharp::train {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kLine = 16;  // Floats.

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

Outgoing outgoing(const float* data, int64_t count) {
  return std::as_bytes(std::span(data, static_cast<size_t>(count)));
}
Incoming incoming(float* data, int64_t count) {
  return std::as_writable_bytes(std::span(data, static_cast<size_t>(count)));
}

// By bits: a comparison of floats would not be vectorised.
bool all_finite(const float* values, int64_t count) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    constexpr uint32_t kExponent = 0x7F800000U;
    bad |= (std::bit_cast<uint32_t>(values[i]) & kExponent) == kExponent ? 1U : 0U;
  }
  return bad == 0;
}

}  // namespace

// Walks the steps as Zero does.
Staging staging_of(const ZeroSteps& steps, std::span<const ShardLayout> units,
                   const ZeroOptions& options, int32_t world) {
  Staging staging;
  struct Group {
    int64_t stride = 0;
    int64_t count = 0;
  };
  std::array<Group, LLV_ZERO_PUBLISH + 1> groups{};
  for (const std::vector<llv_zero_step>& phase : steps) {
    for (const llv_zero_step& step : phase) {
      Group& group = groups.at(static_cast<size_t>(step.op));
      group.stride += units[static_cast<size_t>(step.unit)].pieces.stride;
      ++group.count;
      if (step.joined != 0) {
        continue;
      }
      const bool reduces = step.op == LLV_ZERO_REDUCE;
      if (reduces && group.count == 1) {
        staging.chunk = std::max(staging.chunk, group.stride);
      } else if (group.count > 1) {
        staging.send = std::max(staging.send, (reduces ? world : 1) * group.stride);
        staging.receive = std::max(staging.receive, world * group.stride);
      }
      group = {};
    }
  }
  staging.chunk =
      std::min(staging.chunk, std::max(options.reduce_bucket / world / kLine, int64_t{1}) * kLine);
  staging.receive = std::max(staging.receive, world * staging.chunk);
  return staging;
}

Exchange::Exchange(std::shared_ptr<Communicator> communicator, const ZeroOptions& options,
                   std::shared_ptr<core::MemoryLedger> ledger, const Staging& staging,
                   size_t jobs_max)
    : communicator_(std::move(communicator)),
      options_(options),
      rank_(communicator_->rank()),
      world_(communicator_->world()),
      staging_(staging),
      staged_(std::move(ledger), core::Purpose::kTransient, staging.send + staging.receive),
      send_(static_cast<size_t>(world_)),
      receive_(static_cast<size_t>(world_)),
      jobs_(jobs_max) {
  together_.reserve(jobs_max);
  thread_ = std::thread([this] { run(); });
}

Exchange::~Exchange() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

int64_t Exchange::begin(std::span<const Job> jobs) {
  const std::scoped_lock lock(mutex_);
  if (begun_ - done_ + std::ssize(jobs) > std::ssize(jobs_)) {
    core::fail(LLV_INTERNAL, "%zu exchanges are under way already", jobs_.size());
  }
  for (size_t i = 0; i < jobs.size(); ++i) {
    Job& job = jobs_[static_cast<size_t>(begun_++) % jobs_.size()];
    job = jobs[i];
    job.joined = i + 1 < jobs.size();
  }
  changed_.notify_all();
  return begun_;
}

void Exchange::wait(int64_t ticket) {
  const Clock::time_point begin = Clock::now();
  std::unique_lock lock(mutex_);
  if (done_ < ticket && !error_) {
    changed_.wait(lock, [&] { return done_ >= ticket || error_; });
    traffic_.exposed_seconds += seconds_since(begin);
  }
  if (done_ < ticket) {
    std::rethrow_exception(error_);
  }
}

void Exchange::wait_all() {
  wait(begun_);
}

void Exchange::all_gather(const Label& label, Outgoing mine, Incoming all) {
  wait_all();
  const Clock::time_point begin = Clock::now();
  communicator_->host_all_gather(label, mine, all);
  const std::scoped_lock lock(mutex_);
  const double took = seconds_since(begin);
  ++traffic_.exchanges;
  traffic_.bytes += static_cast<int64_t>(mine.size()) * (world_ - 1);
  traffic_.busy_seconds += took;
  traffic_.exposed_seconds += took;
}

Traffic Exchange::traffic() {
  const std::scoped_lock lock(mutex_);
  return traffic_;
}

// After a failure nothing more is carried out: whoever waits is told.
void Exchange::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ending_ || (done_ < begun_ && !error_); });
    if (ending_) {
      return;
    }
    take_jobs();
    lock.unlock();
    std::exception_ptr error;
    try {
      run_jobs();
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error) {
      error_ = error;
    } else {
      done_ += std::ssize(together_);
    }
    changed_.notify_all();
  }
}

void Exchange::take_jobs() {
  together_.clear();
  do {
    together_.push_back(jobs_[static_cast<size_t>(done_ + std::ssize(together_)) % jobs_.size()]);
  } while (together_.back().joined);
}

void Exchange::run_jobs() {
  const Job& first = together_.front();
  const bool single = together_.size() == 1;
  if (first.kind == Job::Kind::kReduce) {
    single ? reduce(first) : reduce_joined();
    return;
  }
  for (const Job& job : together_) {
    const int64_t count = job.pieces.count(rank_);
    if (job.own != nullptr && count > 0) {
      std::copy_n(job.own, count, job.whole + job.pieces.begin(rank_));
    }
  }
  single ? gather(first.label, first.pieces, first.whole) : gather_joined();
}

void Exchange::gather(const Label& label, const Pieces& pieces, float* whole) {
  for (int32_t peer = 0; peer < world_; ++peer) {
    const auto at = static_cast<size_t>(peer);
    send_[at] = outgoing(whole + pieces.begin(rank_), pieces.count(rank_));
    receive_[at] = incoming(whole + pieces.begin(peer), pieces.count(peer));
  }
  transfer(label);
}

// This rank's pieces of all units go side by side; each rank's come so, [world, pieces].
void Exchange::gather_joined() {
  int64_t stride = 0;
  float* end = sent();
  for (const Job& job : together_) {
    stride += job.pieces.stride;
    end = std::copy_n(job.whole + job.pieces.begin(rank_), job.pieces.count(rank_), end);
  }
  for (int32_t peer = 0; peer < world_; ++peer) {
    int64_t count = 0;
    for (const Job& job : together_) {
      count += job.pieces.count(peer);
    }
    send_[static_cast<size_t>(peer)] = outgoing(sent(), end - sent());
    receive_[static_cast<size_t>(peer)] = incoming(received() + peer * stride, count);
  }
  transfer(together_.front().label);
  for (int32_t peer = 0; peer < world_; ++peer) {
    const float* from = received() + peer * stride;
    for (const Job& job : together_) {
      const int64_t count = job.pieces.count(peer);
      if (peer != rank_) {
        std::copy_n(from, count, job.whole + job.pieces.begin(peer));
      }
      from += count;
    }
  }
}

// Each rank gets everyone's values of its own piece, chunk by chunk, and adds them in rank order:
// the same sum whatever the transport and however pieces are cut or joined.
void Exchange::reduce(const Job& job) {
  const int64_t chunk = staging_.chunk;
  for (int64_t offset = 0; offset < job.pieces.stride; offset += chunk) {
    const auto part = [&](int32_t rank) {
      return std::clamp(job.pieces.count(rank) - offset, int64_t{0}, chunk);
    };
    for (int32_t peer = 0; peer < world_; ++peer) {
      const auto at = static_cast<size_t>(peer);
      send_[at] = outgoing(job.whole + job.pieces.begin(peer) + offset, part(peer));
      receive_[at] = incoming(received() + peer * chunk, part(rank_));
    }
    transfer(job.label);
    add_up(job, offset, part(rank_), received(), chunk);
  }
  if (job.spread) {
    gather(job.label, job.pieces, job.whole);
  }
}

// Small units, one after the other within each rank's part.
void Exchange::reduce_joined() {
  int64_t stride = 0;
  int64_t own = 0;
  for (const Job& job : together_) {
    stride += job.pieces.stride;
    own += job.pieces.count(rank_);
  }
  for (int32_t peer = 0; peer < world_; ++peer) {
    float* const begin = sent() + peer * stride;
    float* end = begin;
    for (const Job& job : together_) {
      end = std::copy_n(job.whole + job.pieces.begin(peer), job.pieces.count(peer), end);
    }
    send_[static_cast<size_t>(peer)] = outgoing(begin, end - begin);
    receive_[static_cast<size_t>(peer)] = incoming(received() + peer * stride, own);
  }
  transfer(together_.front().label);
  const float* values = received();
  for (const Job& job : together_) {
    add_up(job, 0, job.pieces.count(rank_), values, stride);
    values += job.pieces.count(rank_);
  }
  if (together_.front().spread) {
    gather_joined();
  }
}

void Exchange::add_up(const Job& job, int64_t offset, int64_t count, const float* received,
                      int64_t stride) {
  const auto contribution = [&](int32_t rank) {
    return rank == rank_ ? job.whole + job.pieces.begin(rank_) + offset : received + rank * stride;
  };
  std::array<float, 1024> total{};
  for (int64_t begin = 0; begin < count; begin += std::ssize(total)) {
    const int64_t n = std::min<int64_t>(std::ssize(total), count - begin);
    std::copy_n(contribution(0) + begin, n, total.begin());
    for (int32_t rank = 1; rank < world_; ++rank) {
      const float* values = contribution(rank) + begin;
      for (int64_t i = 0; i < n; ++i) {
        total[static_cast<size_t>(i)] += values[i];
      }
    }
    for (int32_t rank = 0; !all_finite(total.data(), n) && *job.bad_rank < 0 && rank < world_;
         ++rank) {
      if (!all_finite(contribution(rank) + begin, n)) {
        *job.bad_rank = rank;
      }
    }
    float* sum = job.sum + offset + begin;
    for (int64_t i = 0; i < n; ++i) {
      sum[i] = (job.add ? sum[i] : 0.0F) + total[static_cast<size_t>(i)];
    }
  }
}

void Exchange::transfer(const Label& label) {
  meet_fault(label);
  if (options_.delay_us > 0) {
    std::this_thread::sleep_for(std::chrono::microseconds(options_.delay_us));
  }
  int64_t bytes = 0;
  for (int32_t peer = 0; peer < world_; ++peer) {
    bytes += peer == rank_ ? 0 : static_cast<int64_t>(send_[static_cast<size_t>(peer)].size());
  }
  const Clock::time_point begin = Clock::now();
  communicator_->transfer(label, send_, receive_);
  const std::scoped_lock lock(mutex_);
  ++traffic_.exchanges;
  traffic_.bytes += bytes;
  traffic_.busy_seconds += seconds_since(begin);
}

// The faults of a transport, for tests of what the other ranks do about them.
void Exchange::meet_fault(const Label& label) {
  if (options_.fault_rank != rank_ || options_.fault_step != label.step) {
    return;
  }
  if (options_.fault == LLV_FAULT_STALL) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ending_; });
    core::fail(LLV_COMM, "rank %d stood still, as it was told to", rank_);
  }
  if (options_.fault == LLV_FAULT_WRONG_SIZE) {
    for (Outgoing& part : send_) {
      part = part.first(part.size() - std::min<size_t>(part.size(), sizeof(float)));
    }
  }
}

}  // namespace llavasharp::train
