// Ranks that train one model together, and the one way in which bytes pass between them.
//
// Everything that ranks say to each other is a transfer: each gives every rank a part and takes a
// part from it. A part has the size that the receiver expects, the ranks are at the same transfer
// of the same plan, and all of them arrive before the deadline: what differs is named, by rank.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "include/llavasharp.h"

namespace llavasharp::train {

// What a transfer is for. The texts outlive it.
struct Label {
  int64_t step = 0;
  const char* op = "";
  const char* unit = "";
};

// A label as it crosses between processes.
struct Header {
  int64_t sequence = 0;  // Transfers so far.
  int64_t step = 0;
  int64_t bytes = 0;
  std::array<char, 16> op{};
  std::array<char, 48> unit{};

  Header() = default;
  Header(int64_t count, const Label& label, int64_t size);
  // "step 3, gather of layer.4, 4096 bytes"
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool same_work(const Header& other) const;
};

using Outgoing = std::span<const std::byte>;
using Incoming = std::span<std::byte>;

struct CommunicatorOptions {
  int32_t kind = LLV_COMMUNICATOR_LOCAL;  // llv_communicator_kind
  int32_t rank = -1;                      // -1: as the transport says.
  int32_t world = -1;
  std::chrono::milliseconds timeout{300'000};
  std::string address;
};

// Used by one thread at a time. After a failure every call fails with the same words.
class Communicator {
 public:
  Communicator(int32_t rank, int32_t world, std::chrono::milliseconds timeout);
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  Communicator(Communicator&&) = delete;
  Communicator& operator=(Communicator&&) = delete;

  [[nodiscard]] int32_t rank() const { return rank_; }
  [[nodiscard]] int32_t world() const { return world_; }
  [[nodiscard]] std::chrono::milliseconds timeout() const { return timeout_; }
  // Of the transfer that this rank came to last.
  [[nodiscard]] int64_t step() const { return step_; }

  // send[r] goes to rank r, receive[r] comes from rank r: world of each; the own ones are not
  // read or written. Throws LLV_COMM, naming the rank that is missing or differs.
  void transfer(const Label& label, std::span<const Outgoing> send,
                std::span<const Incoming> receive);
  // all [world][mine.size()], in rank order.
  void all_gather(const Label& label, Outgoing mine, Incoming all);

  // The same for values in host memory, whatever memory transfers are of.
  virtual void host_all_gather(const Label& label, Outgoing mine, Incoming all) {
    all_gather(label, mine, all);
  }
  // Whether transfers are of the device's own memory.
  [[nodiscard]] virtual bool device_memory() const { return false; }

  // From here on the file says which transfer this rank came to last: it outlives the process.
  void keep_journal(const std::string& path);

  // Transfers under way and to come fail with the reason: here, and on ranks that can be told
  // without ending this process. Any thread.
  virtual void abandon(const std::string& reason) noexcept = 0;
  // Ends all ranks: where they are processes with `code`, this one included. Any thread.
  virtual void stop(int32_t code, const std::string& reason) noexcept = 0;

 protected:
  virtual void move(const Header& label, std::span<const Outgoing> send,
                    std::span<const Incoming> receive) = 0;
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const;
  // Throws LLV_COMM: `missing` ranks have not arrived.
  [[noreturn]] void fail_missing(const Header& label, std::span<const int32_t> missing) const;
  // Throws LLV_COMM unless a peer is at the same transfer and its part has the expected size.
  void check_peer(const Header& mine, int32_t peer, const Header& theirs, int64_t expected) const;

 private:
  void note(const Header& label);

  int32_t rank_;
  int32_t world_;
  std::chrono::milliseconds timeout_;
  int64_t sequence_ = 0;
  int64_t step_ = 0;
  std::string failure_;
  std::ofstream journal_;
  std::vector<Outgoing> gather_send_;
  std::vector<Incoming> gather_receive_;
};

// Threads of one process, which meet under a name. Throws LLV_STATE where that rank is taken, or
// the others expect another world.
[[nodiscard]] std::unique_ptr<Communicator> make_local_communicator(
    const CommunicatorOptions& options);

// NCCL and HCCL; `address` says how the processes meet: "" by MPI, host:port by Gloo, local:NAME as
// threads. Throws LLV_UNSUPPORTED where the library is not there.
[[nodiscard]] std::unique_ptr<Communicator> make_device_communicator(
    const CommunicatorOptions& options);

// Any kind. Throws LLV_UNSUPPORTED where its library is not there.
[[nodiscard]] std::unique_ptr<Communicator> make_communicator(const CommunicatorOptions& options);

}  // namespace llavasharp::train
