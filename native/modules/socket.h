// A TCP socket whose every wait has a deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace llavasharp::modules {

using Bytes = std::vector<char>;
using Deadline = std::chrono::steady_clock::time_point;

// Closed at its end. Errors are std::runtime_error, also the deadline's passing.
class Socket {
 public:
  explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
  ~Socket();
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // On every address of this machine, IPv4 and IPv6.
  static Socket listen_on(const std::string& port);
  // One try at each address of the host, a few seconds each.
  static Socket connect_to(const std::string& host, const std::string& port, Deadline deadline);
  // No socket where none came before the deadline.
  [[nodiscard]] Socket accept_one(Deadline deadline) const;
  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }

  // Bytes as they are.
  void send_raw(const Bytes& bytes) const;
  [[nodiscard]] Bytes receive_raw(size_t count, Deadline deadline) const;
  // Bytes with their count before them.
  void send(const Bytes& bytes) const;
  [[nodiscard]] Bytes receive(Deadline deadline) const;

  // The addresses of this side and of the other, in digits.
  [[nodiscard]] std::string own_address() const;
  [[nodiscard]] std::string peer_address() const;
  // Whether the other side has closed it and nothing is left to read.
  [[nodiscard]] bool has_ended() const;
  // Ends what waits on it.
  void shut() const;

 private:
  int descriptor_;
};

// Why a host's name has no address; empty where it has one.
[[nodiscard]] std::string unknown_host(const std::string& host);

// Whether an address, in digits, reaches this machine only.
[[nodiscard]] bool is_loopback(const std::string& digits);

}  // namespace llavasharp::modules
