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

Exchange::Exchange(std::shared_ptr<Communicator> communicator, const ZeroOptions& options,
                   std::shared_ptr<core::MemoryLedger> ledger, int64_t piece_max, size_t jobs_max)
    : communicator_(std::move(communicator)),
      options_(options),
      rank_(communicator_->rank()),
      world_(communicator_->world()),
      chunk_(std::min(piece_max,
                      std::max(options.reduce_bucket / world_ / kLine, int64_t{1}) * kLine)),
      received_(std::move(ledger), core::Purpose::kGradients, chunk_ * world_),
      send_(static_cast<size_t>(world_)),
      receive_(static_cast<size_t>(world_)),
      jobs_(jobs_max) {
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

int64_t Exchange::begin(const Job& job) {
  const std::scoped_lock lock(mutex_);
  if (begun_ - done_ == static_cast<int64_t>(jobs_.size())) {
    core::fail(LLV_INTERNAL, "%zu exchanges are under way already", jobs_.size());
  }
  jobs_[static_cast<size_t>(begun_) % jobs_.size()] = job;
  ++begun_;
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
    const Job job = jobs_[static_cast<size_t>(done_) % jobs_.size()];
    lock.unlock();
    std::exception_ptr error;
    try {
      run_job(job);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error) {
      error_ = error;
    } else {
      ++done_;
    }
    changed_.notify_all();
  }
}

void Exchange::run_job(const Job& job) {
  if (job.kind == Job::Kind::kReduce) {
    reduce(job);
    return;
  }
  const int64_t count = job.pieces.count(rank_);
  if (job.own != nullptr && count > 0) {
    std::copy_n(job.own, count, job.whole + job.pieces.begin(rank_));
  }
  gather(job.label, job.pieces, job.whole);
}

void Exchange::gather(const Label& label, const Pieces& pieces, float* whole) {
  for (int32_t peer = 0; peer < world_; ++peer) {
    const auto at = static_cast<size_t>(peer);
    send_[at] = outgoing(whole + pieces.begin(rank_), pieces.count(rank_));
    receive_[at] = incoming(whole + pieces.begin(peer), pieces.count(peer));
  }
  transfer(label);
}

// Each rank gets everyone's values of its own piece, chunk by chunk, and adds them in rank order:
// the same sum whatever the transport and however pieces are cut.
void Exchange::reduce(const Job& job) {
  for (int64_t offset = 0; offset < job.pieces.stride; offset += chunk_) {
    const auto part = [&](int32_t rank) {
      return std::clamp(job.pieces.count(rank) - offset, int64_t{0}, chunk_);
    };
    for (int32_t peer = 0; peer < world_; ++peer) {
      const auto at = static_cast<size_t>(peer);
      send_[at] = outgoing(job.whole + job.pieces.begin(peer) + offset, part(peer));
      receive_[at] = incoming(received_.data() + peer * chunk_, part(rank_));
    }
    transfer(job.label);
    add_up(job, offset, part(rank_));
  }
  if (job.spread) {
    gather(job.label, job.pieces, job.whole);
  }
}

const float* Exchange::contribution(const Job& job, int64_t offset, int32_t rank) const {
  return rank == rank_ ? job.whole + job.pieces.begin(rank_) + offset
                       : received_.data() + rank * chunk_;
}

void Exchange::add_up(const Job& job, int64_t offset, int64_t count) {
  std::array<float, 1024> total{};
  for (int64_t begin = 0; begin < count; begin += std::ssize(total)) {
    const int64_t n = std::min<int64_t>(std::ssize(total), count - begin);
    std::copy_n(contribution(job, offset, 0) + begin, n, total.begin());
    for (int32_t rank = 1; rank < world_; ++rank) {
      const float* values = contribution(job, offset, rank) + begin;
      for (int64_t i = 0; i < n; ++i) {
        total[static_cast<size_t>(i)] += values[i];
      }
    }
    for (int32_t rank = 0; !all_finite(total.data(), n) && *job.bad_rank < 0 && rank < world_;
         ++rank) {
      if (!all_finite(contribution(job, offset, rank) + begin, n)) {
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
