// Where ranks that know only rank 0's address leave what the others must know: rank 0 keeps it and
// answers over TCP, until all have gone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace llavasharp::modules {

using Bytes = std::vector<char>;
using Deadline = std::chrono::steady_clock::time_point;

// A socket, closed at its end. Errors are std::runtime_error, also the deadline's passing.
class Socket {
 public:
  explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
  ~Socket();
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  static Socket listen_on(const std::string& host, const std::string& port);
  // Tries again until rank 0 listens.
  static Socket connect_to(const std::string& host, const std::string& port, Deadline deadline);
  [[nodiscard]] Socket accept_one(Deadline deadline) const;
  void send(const Bytes& bytes) const;
  [[nodiscard]] Bytes receive(Deadline deadline) const;
  // The address by which this side is reached, in digits.
  [[nodiscard]] std::string own_address() const;
  // Ends what waits on it.
  void shut() const;

 private:
  void read_all(char* to, size_t count, Deadline deadline) const;
  int descriptor_;
};

class TcpStore {
 public:
  // address: host:port of rank 0.
  TcpStore(int32_t rank, int32_t world, const std::string& address, Deadline deadline);
  ~TcpStore();
  TcpStore(const TcpStore&) = delete;
  TcpStore& operator=(const TcpStore&) = delete;
  TcpStore(TcpStore&&) = delete;
  TcpStore& operator=(TcpStore&&) = delete;

  void set(const std::string& key, const Bytes& value);
  // Waits for a rank to set it.
  [[nodiscard]] Bytes get(const std::string& key);
  // The address by which the other ranks reach this one.
  [[nodiscard]] std::string own_address();

 private:
  void serve(const Socket& listener);
  void answer(const Socket& client);
  [[nodiscard]] Bytes wait_for(const std::string& key);

  int32_t rank_;
  int32_t world_;
  std::string address_;
  Deadline deadline_;
  Socket server_;  // Of other ranks: the way to rank 0.
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Bytes> values_;
  std::string own_address_;
};

}  // namespace llavasharp::modules
