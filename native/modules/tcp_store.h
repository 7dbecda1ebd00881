// Where ranks that know only rank 0's address leave what the others must know: rank 0 keeps it and
// answers over TCP, until all have gone.
//
// A rank introduces itself with a magic word, its rank and the number of ranks. Rank 0 lets the
// ranks go on once all of them have come; whoever else connects (a probe, a port scan, a rank of
// another job) takes nobody's place.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "modules/socket.h"

namespace llavasharp::modules {

class TcpStore {
 public:
  // address: host:port of rank 0; [host]:port or host:port for IPv6. Rank 0 begins to listen, every
  // other rank returns once all ranks have come. Throws std::runtime_error with the reason.
  TcpStore(int32_t rank, int32_t world, const std::string& address, Deadline deadline);
  // Rank 0 without finish(): cuts the others off at once.
  ~TcpStore();
  TcpStore(const TcpStore&) = delete;
  TcpStore& operator=(const TcpStore&) = delete;
  TcpStore(TcpStore&&) = delete;
  TcpStore& operator=(TcpStore&&) = delete;

  void set(const std::string& key, const Bytes& value);
  // Waits for a rank to set it.
  [[nodiscard]] Bytes get(const std::string& key);
  // The address by which the other ranks reach this one. Waits until all ranks have come: only then
  // does rank 0 know whether all of them are on this machine.
  [[nodiscard]] std::string own_address();
  // Rank 0 goes on answering until the other ranks have closed their stores, or the deadline.
  void finish();

 private:
  // A connection to rank 0, answered by a thread of its own.
  struct Client {
    Socket socket;
    std::thread thread;
    bool speaking = false;  // It has introduced itself and is owed an answer.
    bool done = false;
  };

  void serve(const Socket& listener);
  void reap();
  void cut_off();
  void answer(Client& client);
  void welcome(Client& client, int32_t rank, int32_t world);
  [[nodiscard]] std::string refusal(Client& client, int32_t rank, int32_t world);
  void end_welcome(Client& client);
  void leave(Client& client);
  void answer_requests(const Client& client);
  void join(const std::string& host, const std::string& port);
  [[nodiscard]] Bytes wait_for(const std::string& key);
  void wait_for_all();
  void choose_address();
  [[nodiscard]] std::string missing() const;

  int32_t rank_;
  int32_t world_;
  std::string address_;
  std::string host_;
  Deadline deadline_;
  Socket server_;       // Of other ranks: the way to rank 0.
  std::thread thread_;  // Of rank 0: accepts connections.

  // Of rank 0, and guarded by the mutex.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Client> clients_;
  std::map<int32_t, const Client*> present_;  // Ranks whose connection stands.
  std::set<int32_t> doubled_;                 // Ranks that a second process claimed.
  std::map<std::string, Bytes> values_;
  std::string failure_;  // Why the ranks cannot meet.
  bool met_ = false;     // All ranks were present at once.
  bool closing_ = false;
  std::string own_address_;
};

}  // namespace llavasharp::modules
