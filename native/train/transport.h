// What a module for ranks that are processes provides: messages between two of them. Deadlines,
// sizes and who is missing are the engine's matter (peer_communicator.cpp).
//
// A module is a library beside the engine's (libllavasharp_mpi.so, libllavasharp_gloo.so), built
// where its dependency is found and opened when it is asked for.
#pragma once

#include <cstdint>
#include <memory>

namespace llavasharp::train {

// Errors are std::runtime_error: the peer's end, or what the transport says.
class Transport {
 public:
  Transport() = default;
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  Transport(Transport&&) = delete;
  Transport& operator=(Transport&&) = delete;

  [[nodiscard]] virtual int32_t rank() const = 0;
  [[nodiscard]] virtual int32_t world() const = 0;
  // What goes on at a time with a peer: a header and a payload, each way.
  enum class Lane : int32_t { kHeader = 0, kPayload = 1 };
  // Begin; the memory stays untouched until done. Messages of a lane arrive in order. A message
  // that is longer than what waits for it is an error.
  virtual void send(int32_t peer, Lane lane, const void* data, int64_t bytes) = 0;
  virtual void receive(int32_t peer, Lane lane, void* data, int64_t bytes) = 0;
  // Whether what began last in that direction is done; moves things on. True once for each.
  [[nodiscard]] virtual bool sent(int32_t peer, Lane lane) = 0;
  [[nodiscard]] virtual bool received(int32_t peer, Lane lane) = 0;
  // Nothing was done in `rounds` rounds of asking: gives the processor to others for a while.
  virtual void idle(int64_t rounds) = 0;
  // Ends all processes of the job, where there is a way.
  virtual void stop(int32_t code) noexcept = 0;
  // All ranks end in peace.
  virtual void close() noexcept = 0;
};

struct TransportOptions {
  int32_t rank;
  int32_t world;
  int64_t timeout_ms;
  const char* address;
};

// The one function of a module. Null with the reason in `error` [error_bytes].
using OpenTransport = Transport* (*)(const TransportOptions* options, char* error,
                                     int64_t error_bytes);
inline constexpr const char* kOpenTransport = "llavasharp_transport_open";

}  // namespace llavasharp::train
