#include "modules/tcp_store.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace llavasharp::modules {
namespace {

using Clock = std::chrono::steady_clock;

// The newline makes servers of other protocols answer, instead of waiting for the rest of a line.
constexpr std::string_view kMagic = "LLVRANK\n";
// Who has not introduced itself by then is no rank.
constexpr std::chrono::seconds kIntroduction(10);

struct Introduction {
  int32_t rank = 0;
  int32_t world = 0;
};

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

std::string text_of(const Bytes& bytes) {
  return {bytes.begin(), bytes.end()};
}

bool is_magic(const Bytes& bytes) {
  return text_of(bytes) == kMagic;
}

std::string names_of(const std::vector<int32_t>& ranks) {
  std::string names = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size(); ++i) {
    names += (i == 0 ? "" : i + 1 == ranks.size() ? " and " : ", ") + std::to_string(ranks[i]);
  }
  return names;
}

// "host:port", "[::1]:port" and "::1:port": the port follows the last colon.
std::pair<std::string, std::string> split(const std::string& address) {
  const size_t colon = address.rfind(':');
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  if (port.empty() || port.size() > 5 ||
      port.find_first_not_of("0123456789") != std::string::npos) {
    throw std::runtime_error("the address of rank 0 is '" + address + "': it must be host:port");
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return {host, port};
}

}  // namespace

TcpStore::TcpStore(int32_t rank, int32_t world, const std::string& address, Deadline deadline)
    : rank_(rank), world_(world), address_(address), deadline_(deadline) {
  const auto [host, port] = split(address);
  host_ = host;
  if (rank == 0) {
    thread_ = std::thread([this, listener = Socket::listen_on(port)] { serve(listener); });
  } else {
    join(host, port);
  }
}

TcpStore::~TcpStore() {
  if (thread_.joinable()) {
    {
      const std::scoped_lock lock(mutex_);
      cut_off();
    }
    thread_.join();
  }
}

void TcpStore::finish() {
  if (thread_.joinable()) {
    thread_.join();  // Ends when the last of the other ranks has gone, or at the deadline.
  }
}

// ---- other ranks

// Tries again until rank 0 listens: its process, or its pod's name, may come later than this one.
void TcpStore::join(const std::string& host, const std::string& port) {
  const Introduction own{.rank = rank_, .world = world_};
  Bytes hello = bytes_of(kMagic);
  hello.resize(kMagic.size() + sizeof own);
  std::memcpy(hello.data() + kMagic.size(), &own, sizeof own);
  std::string reason;
  do {
    Bytes answer;
    try {
      server_ = Socket::connect_to(host, port, deadline_);
      server_.send_raw(hello);
      answer = server_.receive_raw(kMagic.size(), deadline_);
    } catch (const std::runtime_error& error) {
      reason = error.what();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      continue;
    }
    if (!is_magic(answer)) {
      throw std::runtime_error("another program than rank 0 answers on " + address_);
    }
    const Bytes verdict = server_.receive(deadline_);  // "+" and an address, or "-" and a reason.
    if (verdict.empty() || verdict[0] != '+') {
      throw std::runtime_error(text_of(verdict).substr(verdict.empty() ? 0 : 1));
    }
    // A rank on rank 0's machine may have come by the loopback, where others do not reach it.
    const std::string here = server_.own_address();
    own_address_ = is_loopback(here) ? text_of(verdict).substr(1) : here;
    return;
  } while (Clock::now() < deadline_);
  throw std::runtime_error("rank 0 does not answer on " + address_ + ": " + reason);
}

// ---- rank 0

void TcpStore::serve(const Socket& listener) {
  constexpr std::chrono::milliseconds kPause(50);
  while (true) {
    Socket socket = listener.accept_one(std::min(deadline_, Clock::now() + kPause));
    std::unique_lock lock(mutex_);
    if (met_ && present_.empty()) {
      cut_off();  // All have gone; a stray may still be there.
    }
    if (closing_ || Clock::now() >= deadline_) {
      break;
    }
    if (socket.is_open()) {
      Client& client = clients_.emplace_back();
      client.socket = std::move(socket);
      client.thread = std::thread([this, &client] { answer(client); });
    }
    lock.unlock();
    reap();
  }
  for (Client& client : clients_) {
    client.thread.join();
  }
}

// With the mutex held: ends all connections, save those that are about to be told why.
void TcpStore::cut_off() {
  closing_ = true;
  for (const Client& client : clients_) {
    if (!client.speaking) {
      client.socket.shut();
    }
  }
  changed_.notify_all();
}

// Joins the threads of connections that have ended; only serve()'s thread changes the list.
void TcpStore::reap() {
  std::list<Client> ended;
  {
    const std::scoped_lock lock(mutex_);
    for (auto at = clients_.begin(); at != clients_.end();) {
      const auto next = std::next(at);
      if (at->done) {
        ended.splice(ended.end(), clients_, at);
      }
      at = next;
    }
  }
  for (Client& client : ended) {
    client.thread.join();
  }
}

void TcpStore::answer(Client& client) {
  try {
    const Deadline patience = std::min(deadline_, Clock::now() + kIntroduction);
    if (is_magic(client.socket.receive_raw(kMagic.size(), patience))) {
      Introduction other;
      const Bytes bytes = client.socket.receive_raw(sizeof other, patience);
      std::memcpy(&other, bytes.data(), sizeof other);
      welcome(client, other.rank, other.world);
      answer_requests(client);
    }
  } catch (const std::exception&) {
    // It has gone, is no rank, or the deadline has passed: it finds out by itself.
    client.socket.shut();
  }
  client.socket.shut();
  leave(client);
}

// Returns when all ranks have come; throws where this one cannot be let in.
void TcpStore::welcome(Client& client, int32_t rank, int32_t world) {
  client.socket.send_raw(bytes_of(kMagic));
  std::string reason = refusal(client, rank, world);
  if (reason.empty()) {
    try {
      wait_for_all();
    } catch (const std::runtime_error& error) {
      reason = error.what();
    }
  }
  if (!reason.empty()) {
    client.socket.send(bytes_of(std::string("-").append(reason)));
    throw std::runtime_error(reason);
  }
  client.socket.send(bytes_of(std::string("+").append(own_address())));
  end_welcome(client);
}

void TcpStore::end_welcome(Client& client) {
  const std::scoped_lock lock(mutex_);
  client.speaking = false;
  if (closing_) {
    throw std::runtime_error("rank 0 has gone");
  }
}

// Takes a rank in, or says why not. A rank that was started again takes the place of its former
// process, whose connection has ended.
std::string TcpStore::refusal(Client& client, int32_t rank, int32_t world) {
  const std::scoped_lock lock(mutex_);
  client.speaking = true;
  const std::string name = "rank " + std::to_string(rank);
  if (met_) {
    return "the ranks of the job at " + address_ + " have met already: " + name + " came too late";
  }
  if (world != world_ || rank < 1 || rank >= world_) {
    const std::string reason = name + " was started with " + std::to_string(world) +
                               " ranks, rank 0 with " + std::to_string(world_) +
                               ": start all of them with the same WORLD_SIZE";
    failure_ = reason;
    changed_.notify_all();
    return reason;
  }
  std::erase_if(present_, [](const auto& entry) { return entry.second->socket.has_ended(); });
  if (present_.contains(rank)) {
    doubled_.insert(rank);
    return "two processes were started as " + name + ": give each process a RANK of its own";
  }
  values_.erase(std::to_string(rank));
  present_[rank] = &client;
  if (std::ssize(present_) == world_ - 1) {
    choose_address();
    met_ = true;
  }
  changed_.notify_all();
  return "";
}

void TcpStore::leave(Client& client) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(present_, [&](const auto& entry) { return entry.second == &client; });
  client.done = true;
  changed_.notify_all();
}

// An address that other machines reach, where any rank has come from one.
void TcpStore::choose_address() {
  for (const auto& [rank, client] : present_) {
    const std::string here = client->socket.own_address();
    if (own_address_.empty() || (is_loopback(own_address_) && !is_loopback(here))) {
      own_address_ = here;
    }
  }
}

// "=key", then the value, sets; "?key" asks.
void TcpStore::answer_requests(const Client& client) {
  while (true) {
    const Bytes request = client.socket.receive(deadline_);
    const std::string key = text_of(request).substr(std::min<size_t>(1, request.size()));
    if (!request.empty() && request[0] == '=') {
      Bytes value = client.socket.receive(deadline_);
      const std::scoped_lock lock(mutex_);
      values_[key] = std::move(value);
      changed_.notify_all();
    } else {
      client.socket.send(wait_for(key));
    }
  }
}

Bytes TcpStore::wait_for(const std::string& key) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline_, [&] { return closing_ || values_.contains(key); });
  if (!values_.contains(key)) {
    throw std::runtime_error("rank " + key + " has not come to " + address_);
  }
  return values_[key];
}

void TcpStore::wait_for_all() {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline_, [&] { return closing_ || met_ || !failure_.empty(); });
  if (!met_ && failure_.empty()) {
    failure_ = missing();  // Once, before any of those that came leaves.
  }
  if (!failure_.empty()) {
    throw std::runtime_error(failure_);
  }
}

std::string TcpStore::missing() const {
  std::vector<int32_t> ranks;
  for (int32_t rank = 1; rank < world_; ++rank) {
    if (!present_.contains(rank)) {
      ranks.push_back(rank);
    }
  }
  std::string text =
      names_of(ranks) + (ranks.size() == 1 ? " has" : " have") + " not come to " + address_;
  if (!doubled_.empty()) {
    text += "; two processes were started as " + names_of({doubled_.begin(), doubled_.end()});
  }
  if (const std::string reason = unknown_host(host_); !reason.empty()) {
    text += "; " + reason;
  }
  return text;
}

// ---- all ranks

void TcpStore::set(const std::string& key, const Bytes& value) {
  if (rank_ != 0) {
    server_.send(bytes_of(std::string("=").append(key)));
    server_.send(value);
    return;
  }
  const std::scoped_lock lock(mutex_);
  values_[key] = value;
  changed_.notify_all();
}

Bytes TcpStore::get(const std::string& key) {
  if (rank_ == 0) {
    return wait_for(key);
  }
  server_.send(bytes_of(std::string("?").append(key)));
  try {
    return server_.receive(deadline_);
  } catch (const std::runtime_error&) {
    throw std::runtime_error("rank " + key + " has not come to " + address_);
  }
}

std::string TcpStore::own_address() {
  if (rank_ == 0) {
    wait_for_all();
  }
  return own_address_;
}

}  // namespace llavasharp::modules
