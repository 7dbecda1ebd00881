// Communication beside the compute: one thread that carries out, in their order, the gathers and
// reductions that a plan begins.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/memory.h"
#include "train/communicator.h"
#include "train/shards.h"
#include "train/zero_plan.h"

namespace llavasharp::train {

// What a rank does with a unit.
struct Job {
  enum class Kind : int32_t { kGather, kReduce };
  Kind kind = Kind::kGather;
  Label label;
  Pieces pieces;
  float* whole = nullptr;      // All pieces.
  const float* own = nullptr;  // Gather: this rank's piece, unless it is in place already.
  float* sum = nullptr;        // Reduce: this rank's piece of the sum.
  bool add = false;            // To what is there.
  bool spread = false;         // And gather the sum into `whole`.
  int32_t* bad_rank = nullptr;
  bool joined = false;  // One exchange with the next.
};

// Floats beside the units' own: of a piece that is reduced by itself `chunk` come at a time from
// each rank; what is joined lies side by side.
struct Staging {
  int64_t chunk = 0;
  int64_t send = 0;
  int64_t receive = 0;
};

[[nodiscard]] Staging staging_of(const ZeroSteps& steps, std::span<const ShardLayout> units,
                                 const ZeroOptions& options, int32_t world);

// llv_traffic
struct Traffic {
  int64_t exchanges = 0;
  int64_t bytes = 0;
  double busy_seconds = 0;
  double exposed_seconds = 0;
};

// Used by the trainer's thread.
class Exchange {
 public:
  // jobs_max: the most that are under way at once.
  Exchange(std::shared_ptr<Communicator> communicator, const ZeroOptions& options,
           std::shared_ptr<core::MemoryLedger> ledger, const Staging& staging, size_t jobs_max);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  Exchange(Exchange&&) = delete;
  Exchange& operator=(Exchange&&) = delete;

  // Begins jobs of one kind as one exchange; their memory stays as it is until wait(ticket).
  int64_t begin(std::span<const Job> jobs);
  // Throws what the job threw, or one before it.
  void wait(int64_t ticket);
  void wait_all();
  // Values of every rank, when nothing is under way.
  void all_gather(const Label& label, Outgoing mine, Incoming all);
  [[nodiscard]] Traffic traffic();

 private:
  void run();
  void take_jobs();
  void run_jobs();
  void gather(const Label& label, const Pieces& pieces, float* whole);
  void gather_joined();
  void reduce(const Job& job);
  void reduce_joined();
  // `received`: the first rank's values; the next rank's are `stride` floats on.
  void add_up(const Job& job, int64_t offset, int64_t count, const float* received, int64_t stride);
  void transfer(const Label& label);
  void meet_fault(const Label& label);
  [[nodiscard]] float* sent() const { return staged_.data(); }
  [[nodiscard]] float* received() const { return staged_.data() + staging_.send; }

  std::shared_ptr<Communicator> communicator_;
  ZeroOptions options_;
  int32_t rank_;
  int32_t world_;
  Staging staging_;
  core::Buffer staged_;  // What is sent, what is received.
  std::vector<Outgoing> send_;
  std::vector<Incoming> receive_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Job> jobs_;      // A ring.
  std::vector<Job> together_;  // Of it, what is being carried out.
  int64_t begun_ = 0;
  int64_t done_ = 0;
  bool ending_ = false;
  std::exception_ptr error_;
  Traffic traffic_;
  std::thread thread_;
};

}  // namespace llavasharp::train
