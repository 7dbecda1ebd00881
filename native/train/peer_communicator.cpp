// Before each part goes a header that says what it is, so that ranks which are at different work
// find out instead of waiting for each other.
#include "train/peer_communicator.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <utility>

#include "core/error.h"

namespace llavasharp::train {
namespace {

using core::fail;
using Clock = std::chrono::steady_clock;
using Lane = Transport::Lane;

// How far a transfer with one peer has come.
struct Progress {
  Header out, in;
  bool header_sent = false, header_in = false, part_sent = false, part_in = false;
  [[nodiscard]] bool arrived() const { return header_in && part_in; }
  [[nodiscard]] bool done() const { return header_sent && part_sent && arrived(); }
};

// Where a transport stays that failed, until the process ends.
[[maybe_unused]] Transport* left_behind = nullptr;

class PeerCommunicator final : public Communicator {
 public:
  PeerCommunicator(const CommunicatorOptions& options, std::unique_ptr<Transport> transport)
      : Communicator(transport->rank(), transport->world(), options.timeout),
        transport_(std::move(transport)),
        peers_(static_cast<size_t>(world())) {}

  ~PeerCommunicator() override {
    if (!failed_) {
      transport_->close();
    } else {
      // Messages may be under way into memory that is still ours: the process ends with them.
      left_behind = transport_.release();
    }
  }
  PeerCommunicator(const PeerCommunicator&) = delete;
  PeerCommunicator& operator=(const PeerCommunicator&) = delete;
  PeerCommunicator(PeerCommunicator&&) = delete;
  PeerCommunicator& operator=(PeerCommunicator&&) = delete;

  void stop(int32_t code, const std::string& /*reason*/) noexcept override {
    transport_->stop(code);
  }
  void abandon(const std::string& reason) noexcept override {
    const std::scoped_lock lock(mutex_);
    if (abandoned_.empty()) {
      abandoned_ = reason;
      has_abandoned_ = true;
    }
  }

 protected:
  void move(const Header& label, std::span<const Outgoing> send,
            std::span<const Incoming> receive) override {
    try {
      begin(label, send);
      const Clock::time_point end = deadline();
      for (int64_t rounds = 0; !advance(label, receive); ++rounds) {
        if (has_abandoned_) {
          give_up();
        }
        if (Clock::now() >= end) {
          give_names(label);
        }
        transport_->idle(rounds);
      }
    } catch (const core::Error&) {
      failed_ = true;
      throw;
    } catch (const std::exception& error) {
      failed_ = true;
      fail(LLV_COMM, "%s: %s", label.text().c_str(), error.what());
    }
  }

 private:
  void begin(const Header& label, std::span<const Outgoing> send) {
    for (int32_t peer = 0; peer < world(); ++peer) {
      const auto at = static_cast<size_t>(peer);
      Progress& progress = peers_[at];
      if (peer == rank()) {
        progress = {.out = {},
                    .in = {},
                    .header_sent = true,
                    .header_in = true,
                    .part_sent = true,
                    .part_in = true};
        continue;
      }
      progress = {};
      progress.out = label;
      progress.out.bytes = static_cast<int64_t>(send[at].size());
      transport_->receive(peer, Lane::kHeader, &progress.in, sizeof(Header));
      transport_->send(peer, Lane::kHeader, &progress.out, sizeof(Header));
      progress.part_sent = send[at].empty();
      if (!progress.part_sent) {
        transport_->send(peer, Lane::kPayload, send[at].data(), progress.out.bytes);
      }
    }
  }

  // Moves on what can move; true when all is done.
  bool advance(const Header& label, std::span<const Incoming> receive) {
    bool done = true;
    for (int32_t peer = 0; peer < world(); ++peer) {
      Progress& progress = peers_[static_cast<size_t>(peer)];
      if (!progress.header_sent) {
        progress.header_sent = transport_->sent(peer, Lane::kHeader);
      }
      if (!progress.part_sent) {
        progress.part_sent = transport_->sent(peer, Lane::kPayload);
      }
      if (!progress.header_in && transport_->received(peer, Lane::kHeader)) {
        progress.header_in = true;
        const Incoming part = receive[static_cast<size_t>(peer)];
        check_peer(label, peer, progress.in, static_cast<int64_t>(part.size()));
        progress.part_in = part.empty();
        if (!part.empty()) {
          transport_->receive(peer, Lane::kPayload, part.data(), static_cast<int64_t>(part.size()));
        }
      }
      if (progress.header_in && !progress.part_in) {
        progress.part_in = transport_->received(peer, Lane::kPayload);
      }
      done = done && progress.done();
    }
    return done;
  }

  [[noreturn]] void give_up() {
    const std::scoped_lock lock(mutex_);
    fail(LLV_COMM, "rank %d gave up: %s", rank(), abandoned_.c_str());
  }

  [[noreturn]] void give_names(const Header& label) const {
    std::vector<int32_t> missing;
    for (int32_t peer = 0; peer < world(); ++peer) {
      const Progress& progress = peers_[static_cast<size_t>(peer)];
      if (!progress.arrived()) {
        missing.push_back(peer);
      }
    }
    for (int32_t peer = 0; missing.empty() && peer < world(); ++peer) {
      if (!peers_[static_cast<size_t>(peer)].done()) {
        missing.push_back(peer);  // It sent its part and takes none.
      }
    }
    fail_missing(label, missing);
  }

  std::unique_ptr<Transport> transport_;
  std::vector<Progress> peers_;
  bool failed_ = false;
  std::mutex mutex_;
  std::string abandoned_;
  std::atomic<bool> has_abandoned_ = false;
};

}  // namespace

std::unique_ptr<Communicator> make_peer_communicator(const CommunicatorOptions& options,
                                                     std::unique_ptr<Transport> transport) {
  return std::make_unique<PeerCommunicator>(options, std::move(transport));
}

}  // namespace llavasharp::train
