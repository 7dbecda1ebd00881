// Messages between processes that mpirun or srun started, over MPI: shared memory on one machine,
// and whatever MPI finds between machines.
#define OMPI_SKIP_MPICXX 1  // The C interface alone: the C++ one is another library.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "train/transport.h"

namespace {

using llavasharp::train::Transport;
using llavasharp::train::TransportOptions;

constexpr int64_t kMessageBytes = int64_t{1} << 30;  // MPI counts in int.
constexpr int kTag = 7000;

void check(int code, const char* what) {
  if (code == MPI_SUCCESS) {
    return;
  }
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw std::runtime_error(std::string(what) + ": " +
                           std::string(text, static_cast<size_t>(length)));
}

// One direction of one lane: a message, which may have been cut into several.
struct Way {
  std::vector<MPI_Request> requests;
  size_t first = 0;  // Requests before it are done.
};

class MpiTransport final : public Transport {
 public:
  explicit MpiTransport(const TransportOptions& options) {
    int initialised = 0;
    check(MPI_Initialized(&initialised), "MPI_Initialized");
    if (initialised != 0) {
      throw std::runtime_error("this process has met the other ranks already: MPI does it once");
    }
    int level = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level), "MPI_Init_thread");
    if (level < MPI_THREAD_SERIALIZED) {
      throw std::runtime_error("this MPI cannot be used by a second thread");
    }
    // A communicator of our own, whose errors come back instead of ending the process.
    check(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "MPI_Comm_dup");
    check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(comm_, &world_), "MPI_Comm_size");
    if ((options.rank >= 0 && options.rank != rank_) ||
        (options.world >= 0 && options.world != world_)) {
      throw std::runtime_error("asked for rank " + std::to_string(options.rank) + " of " +
                               std::to_string(options.world) + ", MPI says rank " +
                               std::to_string(rank_) + " of " + std::to_string(world_) +
                               ": start the ranks with mpirun");
    }
    ways_.resize(static_cast<size_t>(world_) * 4);
  }

  [[nodiscard]] int32_t rank() const override { return rank_; }
  [[nodiscard]] int32_t world() const override { return world_; }

  void send(int32_t peer, Lane lane, const void* data, int64_t bytes) override {
    Way& way = begin(peer, lane, 0);
    for (int64_t at = 0; at < bytes || at == 0; at += kMessageBytes) {
      const auto part = static_cast<int>(std::min(bytes - at, kMessageBytes));
      check(MPI_Isend(static_cast<const char*>(data) + at, part, MPI_BYTE, peer, tag(lane), comm_,
                      &way.requests.emplace_back()),
            "MPI_Isend");
    }
  }
  void receive(int32_t peer, Lane lane, void* data, int64_t bytes) override {
    Way& way = begin(peer, lane, 1);
    for (int64_t at = 0; at < bytes || at == 0; at += kMessageBytes) {
      const auto part = static_cast<int>(std::min(bytes - at, kMessageBytes));
      check(MPI_Irecv(static_cast<char*>(data) + at, part, MPI_BYTE, peer, tag(lane), comm_,
                      &way.requests.emplace_back()),
            "MPI_Irecv");
    }
  }
  [[nodiscard]] bool sent(int32_t peer, Lane lane) override { return done(way_of(peer, lane, 0)); }
  [[nodiscard]] bool received(int32_t peer, Lane lane) override {
    return done(way_of(peer, lane, 1));
  }

  // Other ranks may need the processor more than a loop that asks.
  void idle(int64_t rounds) override {
    if (rounds < 50) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(rounds < 2000 ? 20 : 500));
    }
  }
  void stop(int32_t code) noexcept override { MPI_Abort(MPI_COMM_WORLD, code); }
  void close() noexcept override {
    MPI_Comm_free(&comm_);
    MPI_Finalize();
  }

 private:
  static int tag(Lane lane) { return kTag + static_cast<int>(lane); }
  Way& way_of(int32_t peer, Lane lane, size_t direction) {
    return ways_[static_cast<size_t>(peer) * 4 + static_cast<size_t>(lane) * 2 + direction];
  }
  Way& begin(int32_t peer, Lane lane, size_t direction) {
    Way& way = way_of(peer, lane, direction);
    way.requests.clear();
    way.first = 0;
    return way;
  }
  static bool done(Way& way) {
    while (way.first < way.requests.size()) {
      int flag = 0;
      check(MPI_Test(&way.requests[way.first], &flag, MPI_STATUS_IGNORE), "MPI_Test");
      if (flag == 0) {
        return false;
      }
      ++way.first;
    }
    return true;
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int world_ = 1;
  std::vector<Way> ways_;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) Transport* llavasharp_transport_open(
    const TransportOptions* options, char* error, int64_t error_bytes) {
  try {
    return new MpiTransport(*options);
  } catch (const std::exception& reason) {
    std::snprintf(error, static_cast<size_t>(error_bytes), "%s", reason.what());
    return nullptr;
  }
}
