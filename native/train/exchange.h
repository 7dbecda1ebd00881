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
};

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
  // piece_max: the longest piece that is reduced; jobs_max: the most that are under way at once.
  Exchange(std::shared_ptr<Communicator> communicator, const ZeroOptions& options,
           std::shared_ptr<core::MemoryLedger> ledger, int64_t piece_max, size_t jobs_max);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  Exchange(Exchange&&) = delete;
  Exchange& operator=(Exchange&&) = delete;

  // Begins a job; its memory stays as it is until wait(ticket).
  int64_t begin(const Job& job);
  // Throws what the job threw, or one before it.
  void wait(int64_t ticket);
  void wait_all();
  // Values of every rank, when nothing is under way.
  void all_gather(const Label& label, Outgoing mine, Incoming all);
  [[nodiscard]] Traffic traffic();

 private:
  void run();
  void run_job(const Job& job);
  void gather(const Label& label, const Pieces& pieces, float* whole);
  void reduce(const Job& job);
  void add_up(const Job& job, int64_t offset, int64_t count);
  void transfer(const Label& label);
  void meet_fault(const Label& label);
  [[nodiscard]] const float* contribution(const Job& job, int64_t offset, int32_t rank) const;

  std::shared_ptr<Communicator> communicator_;
  ZeroOptions options_;
  int32_t rank_;
  int32_t world_;
  int64_t chunk_;
  core::Buffer received_;  // [world, chunk]
  std::vector<Outgoing> send_;
  std::vector<Incoming> receive_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Job> jobs_;  // A ring.
  int64_t begun_ = 0;
  int64_t done_ = 0;
  bool ending_ = false;
  std::exception_ptr error_;
  Traffic traffic_;
  std::thread thread_;
};

}  // namespace llavasharp::train
