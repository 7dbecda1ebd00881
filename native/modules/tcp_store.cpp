#include "modules/tcp_store.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace llavasharp::modules {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint32_t kValueMax = 1U << 24U;  // What a rank leaves is a few kilobytes.

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses resolve(const std::string& host, const std::string& port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  const char* name = host.empty() ? nullptr : host.c_str();
  if (const int code = getaddrinfo(name, port.c_str(), &hints, &list); code != 0) {
    throw std::runtime_error(host + ":" + port + ": " + gai_strerror(code));
  }
  return Addresses(list);
}

std::runtime_error system_error(const std::string& what) {
  return std::runtime_error(what + ": " + std::strerror(errno));
}

int left_ms(Deadline deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1'000'000'000));
}

// Whether there is something to read before the deadline.
bool readable(int descriptor, Deadline deadline) {
  pollfd entry{.fd = descriptor, .events = POLLIN, .revents = 0};
  return poll(&entry, 1, left_ms(deadline)) > 0;
}

}  // namespace

Socket::~Socket() {
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
}

Socket::Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

// On every address: the name by which others know this host may not be one of its own.
Socket Socket::listen_on(const std::string& host, const std::string& port) {
  const Addresses list = resolve("", port, AI_PASSIVE);
  std::string reason = "no address";
  for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
    Socket socket(::socket(at->ai_family, at->ai_socktype, at->ai_protocol));
    if (socket.descriptor_ < 0) {
      continue;
    }
    const int yes = 1;
    setsockopt(socket.descriptor_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(socket.descriptor_, at->ai_addr, at->ai_addrlen) == 0 &&
        listen(socket.descriptor_, 4096) == 0) {
      return socket;
    }
    reason = std::strerror(errno);
  }
  throw std::runtime_error("rank 0 cannot listen on " + host + ":" + port + ": " + reason);
}

Socket Socket::connect_to(const std::string& host, const std::string& port, Deadline deadline) {
  std::string reason;
  do {
    try {
      const Addresses list = resolve(host, port, 0);
      for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
        Socket socket(::socket(at->ai_family, at->ai_socktype, at->ai_protocol));
        if (socket.descriptor_ >= 0 &&
            connect(socket.descriptor_, at->ai_addr, at->ai_addrlen) == 0) {
          return socket;
        }
        reason = std::strerror(errno);
      }
    } catch (const std::runtime_error& error) {
      reason = error.what();  // A name may appear later, as a pod does.
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  } while (Clock::now() < deadline);
  throw std::runtime_error("rank 0 does not answer on " + host + ":" + port + ": " + reason);
}

Socket Socket::accept_one(Deadline deadline) const {
  if (!readable(descriptor_, deadline)) {
    return Socket();
  }
  return Socket(accept(descriptor_, nullptr, nullptr));
}

void Socket::send(const Bytes& bytes) const {
  const auto count = static_cast<uint32_t>(bytes.size());
  Bytes message(sizeof count);
  std::memcpy(message.data(), &count, sizeof count);
  message.insert(message.end(), bytes.begin(), bytes.end());
  for (size_t at = 0; at < message.size();) {
    const ssize_t sent =
        ::send(descriptor_, message.data() + at, message.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) {
      throw system_error("the store does not take what a rank sends");
    }
    at += static_cast<size_t>(sent);
  }
}

Bytes Socket::receive(Deadline deadline) const {
  uint32_t count = 0;
  std::array<char, sizeof count> head{};
  read_all(head.data(), head.size(), deadline);
  std::memcpy(&count, head.data(), sizeof count);
  if (count > kValueMax) {
    throw std::runtime_error("who speaks on this port is no rank");
  }
  Bytes bytes(count);
  read_all(bytes.data(), bytes.size(), deadline);
  return bytes;
}

void Socket::read_all(char* to, size_t count, Deadline deadline) const {
  for (size_t at = 0; at < count;) {
    if (!readable(descriptor_, deadline)) {
      throw std::runtime_error("no answer before the deadline");
    }
    const ssize_t got = recv(descriptor_, to + at, count - at, 0);
    if (got <= 0) {
      throw std::runtime_error("the connection has ended");
    }
    at += static_cast<size_t>(got);
  }
}

std::string Socket::own_address() const {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  std::array<char, NI_MAXHOST> text{};
  if (getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&address), length, text.data(), text.size(), nullptr,
                  0, NI_NUMERICHOST) != 0) {
    throw system_error("a socket's own address");
  }
  const std::string_view digits = text.data();
  constexpr std::string_view kMapped = "::ffff:";  // IPv4 on a socket that takes both.
  return std::string(digits.starts_with(kMapped) ? digits.substr(kMapped.size()) : digits);
}

void Socket::shut() const {
  shutdown(descriptor_, SHUT_RDWR);
}

TcpStore::TcpStore(int32_t rank, int32_t world, const std::string& address, Deadline deadline)
    : rank_(rank), world_(world), address_(address), deadline_(deadline) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon + 1 == address.size()) {
    throw std::runtime_error("the address of rank 0 is '" + address + "': it must be host:port");
  }
  const std::string host = address.substr(0, colon);
  const std::string port = address.substr(colon + 1);
  if (rank == 0) {
    thread_ = std::thread([this, listener = Socket::listen_on(host, port)] { serve(listener); });
  } else {
    server_ = Socket::connect_to(host, port, deadline);
    own_address_ = server_.own_address();
  }
}

TcpStore::~TcpStore() {
  if (thread_.joinable()) {
    thread_.join();  // Ends when the last of the other ranks has gone, or at the deadline.
  }
}

void TcpStore::serve(const Socket& listener) {
  std::vector<Socket> clients;
  std::vector<std::thread> threads;
  clients.reserve(static_cast<size_t>(world_));
  for (int32_t peer = 1; peer < world_; ++peer) {
    Socket client = listener.accept_one(deadline_);
    try {
      const std::scoped_lock lock(mutex_);
      own_address_ = own_address_.empty() ? client.own_address() : own_address_;
      changed_.notify_all();
    } catch (const std::runtime_error&) {
      break;  // Nobody came.
    }
    const Socket& kept = clients.emplace_back(std::move(client));
    threads.emplace_back([this, &kept] { answer(kept); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// "=key", then the value, sets; "?key" asks.
void TcpStore::answer(const Socket& client) {
  try {
    while (true) {
      const Bytes request = client.receive(deadline_);
      const std::string key(request.begin() + std::min<std::ptrdiff_t>(1, std::ssize(request)),
                            request.end());
      if (!request.empty() && request[0] == '=') {
        Bytes value = client.receive(deadline_);
        const std::scoped_lock lock(mutex_);
        values_[key] = std::move(value);
        changed_.notify_all();
      } else {
        client.send(wait_for(key));
      }
    }
  } catch (const std::exception&) {
    client.shut();  // It has gone, or the deadline has: it finds out by itself.
  }
}

Bytes TcpStore::wait_for(const std::string& key) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_until(lock, deadline_, [&] { return values_.contains(key); })) {
    throw std::runtime_error("rank " + key + " has not come to " + address_);
  }
  return values_[key];
}

void TcpStore::set(const std::string& key, const Bytes& value) {
  if (rank_ != 0) {
    const std::string request = "=" + key;
    server_.send({request.begin(), request.end()});
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
  const std::string request = "?" + key;
  server_.send({request.begin(), request.end()});
  try {
    return server_.receive(deadline_);
  } catch (const std::runtime_error&) {
    throw std::runtime_error("rank " + key + " has not come to " + address_);
  }
}

std::string TcpStore::own_address() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_until(lock, deadline_, [&] { return !own_address_.empty(); })) {
    throw std::runtime_error("no other rank has come to " + address_);
  }
  return own_address_;
}

}  // namespace llavasharp::modules
