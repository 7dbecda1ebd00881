// Messages between processes over TCP, by Gloo: for ranks that know each other only by the address
// of rank 0, as torchrun and Kubernetes' PyTorch jobs start them.
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>

#include <array>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "modules/tcp_store.h"
#include "train/transport.h"

namespace {

using Buffer = gloo::transport::UnboundBuffer;
using llavasharp::modules::Bytes;
using llavasharp::modules::Deadline;
using llavasharp::modules::TcpStore;
using llavasharp::train::Transport;
using llavasharp::train::TransportOptions;

// Gloo's store, by ours; its own are files and Redis.
class Store final : public gloo::rendezvous::Store {
 public:
  explicit Store(TcpStore& store) : store_(store) {}
  void set(const std::string& key, const Bytes& data) override { store_.set(key, data); }
  Bytes get(const std::string& key) override { return store_.get(key); }
  void wait(const std::vector<std::string>& keys) override {
    for (const std::string& key : keys) {
      static_cast<void>(store_.get(key));
    }
  }
  void wait(const std::vector<std::string>& keys,
            const std::chrono::milliseconds& /*timeout*/) override {
    wait(keys);  // The store has a deadline of its own.
  }

 private:
  TcpStore& store_;
};

// Wakes whoever waits for any message.
class Signal {
 public:
  void give() {
    const std::scoped_lock lock(mutex_);
    given_ = true;
    changed_.notify_all();
  }
  void wait() {
    constexpr std::chrono::milliseconds kLongest(5);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kLongest, [&] { return given_; });
    given_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool given_ = false;
};

// One direction of the way to a peer. A thread waits for its messages: Gloo can only be waited for,
// and takes a wait that is too long for the end of the connection.
class Way {
 public:
  enum class Direction : bool { kSend, kReceive };
  Way(Direction direction, std::chrono::milliseconds timeout, Signal& signal)
      : direction_(direction), timeout_(timeout), signal_(signal), thread_([this] { run(); }) {}
  ~Way() {
    {
      const std::scoped_lock lock(mutex_);
      ending_ = true;
      for (const Message& message : lanes_) {
        if (message.buffer) {
          message.buffer->abortWaitSend();
          message.buffer->abortWaitRecv();
        }
      }
      changed_.notify_all();
    }
    thread_.join();
  }
  Way(const Way&) = delete;
  Way& operator=(const Way&) = delete;
  Way(Way&&) = delete;
  Way& operator=(Way&&) = delete;

  // The lane's last message is done.
  void begin(Transport::Lane lane, std::unique_ptr<Buffer> buffer) {
    const std::scoped_lock lock(mutex_);
    Message& message = of(lane);
    message.buffer = std::move(buffer);
    message.done = false;
    changed_.notify_all();
  }
  [[nodiscard]] bool done(Transport::Lane lane) {
    const std::scoped_lock lock(mutex_);
    if (!failure_.empty()) {
      throw std::runtime_error(failure_);
    }
    return of(lane).done;
  }

 private:
  struct Message {
    std::unique_ptr<Buffer> buffer;
    bool done = true;
  };
  Message& of(Transport::Lane lane) { return lanes_.at(static_cast<size_t>(lane)); }

  // The header's lane is done before the payload's: they arrive in that order.
  void run() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
      Message* next = nullptr;
      for (Message& message : lanes_) {
        next = next == nullptr && !message.done ? &message : next;
      }
      if (next == nullptr || !failure_.empty()) {
        changed_.wait(lock);
        continue;
      }
      Buffer& buffer = *next->buffer;
      lock.unlock();
      std::string failure;
      try {
        if (!(direction_ == Direction::kSend ? buffer.waitSend(timeout_)
                                             : buffer.waitRecv(timeout_))) {
          failure = "given up";
        }
      } catch (const std::exception& error) {
        failure = error.what();
      }
      lock.lock();
      failure_ = failure;
      next->done = failure.empty();
      signal_.give();
    }
  }

  Direction direction_;
  std::chrono::milliseconds timeout_;
  Signal& signal_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Message, 2> lanes_;
  std::string failure_;
  bool ending_ = false;
  std::thread thread_;  // Last: it uses the others.
};

struct Peer {
  Peer(std::chrono::milliseconds timeout, Signal& signal)
      : out(Way::Direction::kSend, timeout, signal),
        in(Way::Direction::kReceive, timeout, signal) {}
  Way out, in;
};

// What Gloo says about the way to a peer, with the peer's rank.
template <typename Question>
std::invoke_result_t<Question> ask(int32_t peer, Question question) {
  try {
    return question();
  } catch (const std::exception& error) {
    throw std::runtime_error("rank " + std::to_string(peer) + " is gone: " + error.what());
  }
}

class GlooTransport final : public Transport {
 public:
  explicit GlooTransport(const TransportOptions& options) {
    if (options.rank < 0 || options.world < 1 || options.rank >= options.world) {
      throw std::runtime_error("rank " + std::to_string(options.rank) + " of " +
                               std::to_string(options.world) +
                               ": both must be given, the rank from 0 to world - 1");
    }
    const std::chrono::milliseconds timeout(options.timeout_ms);
    context_ = std::make_shared<gloo::rendezvous::Context>(options.rank, options.world);
    context_->setTimeout(timeout);
    if (options.world > 1) {
      TcpStore store(options.rank, options.world, options.address,
                     std::chrono::steady_clock::now() + timeout);
      Store names(store);
      const std::string own = store.own_address();
      std::shared_ptr<gloo::transport::Device> device =
          gloo::transport::tcp::CreateDevice(own.c_str());
      context_->connectFullMesh(names, device);
      store.finish();
    }
    // Whoever asks has the deadline; these waits end after it.
    for (int32_t peer = 0; peer < options.world; ++peer) {
      peers_.push_back(peer == options.rank ? nullptr
                                            : std::make_unique<Peer>(2 * timeout, signal_));
    }
  }

  [[nodiscard]] int32_t rank() const override { return context_->rank; }
  [[nodiscard]] int32_t world() const override { return context_->size; }

  void send(int32_t peer, Lane lane, const void* data, int64_t bytes) override {
    // Gloo reads from it alone.
    std::unique_ptr<Buffer> buffer =
        context_->createUnboundBuffer(const_cast<void*>(data), static_cast<size_t>(bytes));
    ask(peer, [&] { buffer->send(peer, slot(lane)); });
    of(peer).out.begin(lane, std::move(buffer));
  }
  void receive(int32_t peer, Lane lane, void* data, int64_t bytes) override {
    std::unique_ptr<Buffer> buffer =
        context_->createUnboundBuffer(data, static_cast<size_t>(bytes));
    ask(peer, [&] { buffer->recv(peer, slot(lane)); });
    of(peer).in.begin(lane, std::move(buffer));
  }
  [[nodiscard]] bool sent(int32_t peer, Lane lane) override {
    return ask(peer, [&] { return of(peer).out.done(lane); });
  }
  [[nodiscard]] bool received(int32_t peer, Lane lane) override {
    return ask(peer, [&] { return of(peer).in.done(lane); });
  }

  void idle(int64_t /*rounds*/) override { signal_.wait(); }
  // The others see the connections end.
  void stop(int32_t /*code*/) noexcept override { close(); }
  void close() noexcept override {
    try {
      context_->closeConnections();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "gloo: %s\n", error.what());
    }
  }

 private:
  static uint64_t slot(Lane lane) { return 7000 + static_cast<uint64_t>(lane); }
  Peer& of(int32_t peer) { return *peers_[static_cast<size_t>(peer)]; }
  std::shared_ptr<gloo::rendezvous::Context> context_;
  Signal signal_;
  std::vector<std::unique_ptr<Peer>> peers_;  // Null at this rank's own place.
};

}  // namespace

extern "C" __attribute__((visibility("default"))) Transport* llavasharp_transport_open(
    const TransportOptions* options, char* error, int64_t error_bytes) {
  try {
    return new GlooTransport(*options);
  } catch (const std::exception& reason) {
    std::snprintf(error, static_cast<size_t>(error_bytes), "%s", reason.what());
    return nullptr;
  }
}
