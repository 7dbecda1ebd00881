#include "modules/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace llavasharp::modules {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint32_t kValueMax = 1U << 24U;  // What a rank leaves is a few kilobytes.

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int code = getaddrinfo(host.c_str(), port.c_str(), &hints, &list); code != 0) {
    throw std::runtime_error("the name '" + host + "' has no address (" + gai_strerror(code) + ")");
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

bool wait_until(int descriptor, int16_t events, Deadline deadline) {
  pollfd entry{.fd = descriptor, .events = events, .revents = 0};
  int count = 0;
  do {
    count = poll(&entry, 1, left_ms(deadline));
  } while (count < 0 && errno == EINTR);
  return count > 0;
}

// A host that swallows packets would otherwise hold a connect() for minutes.
bool connect_within(int descriptor, const addrinfo& to, Deadline deadline) {
  const int flags = fcntl(descriptor, F_GETFL);
  (void)fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
  if (connect(descriptor, to.ai_addr, to.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) {
      return false;
    }
    if (!wait_until(descriptor, POLLOUT, deadline)) {
      errno = ETIMEDOUT;
      return false;
    }
    int error = 0;
    socklen_t size = sizeof error;
    (void)getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      errno = error;
      return false;
    }
  }
  (void)fcntl(descriptor, F_SETFL, flags);
  return true;
}

// Listens on a port of all addresses of one family; -1 with errno otherwise.
int listen_on_family(int family, uint16_t port) {
  const int descriptor = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    return -1;
  }
  const int yes = 1;
  const int no = 0;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  int bound = -1;
  if (family == AF_INET6) {
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_addr = in6addr_any;
    any.sin6_port = htons(port);
    bound = bind(descriptor, reinterpret_cast<const sockaddr*>(&any), sizeof any);
  } else {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_ANY);
    any.sin_port = htons(port);
    bound = bind(descriptor, reinterpret_cast<const sockaddr*>(&any), sizeof any);
  }
  if (bound != 0 || listen(descriptor, 4096) != 0) {
    const int reason = errno;
    close(descriptor);
    errno = reason;
    return -1;
  }
  return descriptor;
}

using NameOf = int (*)(int, sockaddr*, socklen_t*);

std::string digits_of(int descriptor, NameOf name_of) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  std::array<char, NI_MAXHOST> text{};
  if (name_of(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&address), length, text.data(), text.size(), nullptr,
                  0, NI_NUMERICHOST) != 0) {
    throw system_error("a socket's address");
  }
  const std::string_view digits = text.data();
  constexpr std::string_view kMapped = "::ffff:";  // IPv4 on a socket that takes both.
  return std::string(digits.starts_with(kMapped) ? digits.substr(kMapped.size()) : digits);
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

Socket Socket::listen_on(const std::string& port) {
  const auto number = static_cast<uint16_t>(std::stoi(port));
  int descriptor = listen_on_family(AF_INET6, number);
  if (descriptor < 0 && errno != EADDRINUSE && errno != EACCES) {
    descriptor = listen_on_family(AF_INET, number);  // A machine without IPv6.
  }
  if (descriptor < 0) {
    const bool taken = errno == EADDRINUSE;
    throw std::runtime_error("rank 0 cannot listen on port " + port + ": " + std::strerror(errno) +
                             (taken ? "; another program or another rank 0 does" : ""));
  }
  return Socket(descriptor);
}

Socket Socket::connect_to(const std::string& host, const std::string& port, Deadline deadline) {
  constexpr std::chrono::seconds kOneTry(5);
  const Addresses list = resolve(host, port);
  std::string reason = "no address";
  for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
    Socket socket(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol));
    if (socket.is_open() &&
        connect_within(socket.descriptor_, *at, std::min(deadline, Clock::now() + kOneTry))) {
      return socket;
    }
    reason = std::strerror(errno);
  }
  throw std::runtime_error(reason);
}

Socket Socket::accept_one(Deadline deadline) const {
  if (!wait_until(descriptor_, POLLIN, deadline)) {
    return Socket();
  }
  return Socket(accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC));
}

void Socket::send_raw(const Bytes& bytes) const {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t sent = ::send(descriptor_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) {
      throw system_error("the store does not take what a rank sends");
    }
    at += static_cast<size_t>(sent);
  }
}

Bytes Socket::receive_raw(size_t count, Deadline deadline) const {
  Bytes bytes(count);
  for (size_t at = 0; at < count;) {
    if (!wait_until(descriptor_, POLLIN, deadline)) {
      throw std::runtime_error("no answer before the deadline");
    }
    const ssize_t got = recv(descriptor_, bytes.data() + at, count - at, 0);
    if (got <= 0) {
      throw std::runtime_error("the connection has ended");
    }
    at += static_cast<size_t>(got);
  }
  return bytes;
}

void Socket::send(const Bytes& bytes) const {
  const auto count = static_cast<uint32_t>(bytes.size());
  Bytes message(sizeof count);
  std::memcpy(message.data(), &count, sizeof count);
  message.insert(message.end(), bytes.begin(), bytes.end());
  send_raw(message);
}

Bytes Socket::receive(Deadline deadline) const {
  uint32_t count = 0;
  const Bytes head = receive_raw(sizeof count, deadline);
  std::memcpy(&count, head.data(), sizeof count);
  if (count > kValueMax) {
    throw std::runtime_error("who speaks on this port is no rank");
  }
  return receive_raw(count, deadline);
}

std::string Socket::own_address() const {
  return digits_of(descriptor_, getsockname);
}

std::string Socket::peer_address() const {
  return digits_of(descriptor_, getpeername);
}

bool Socket::has_ended() const {
  char next = 0;
  const ssize_t got = recv(descriptor_, &next, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void Socket::shut() const {
  shutdown(descriptor_, SHUT_RDWR);
}

std::string unknown_host(const std::string& host) {
  try {
    static_cast<void>(resolve(host, "0"));
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

bool is_loopback(const std::string& digits) {
  return digits == "::1" || digits.starts_with("127.");
}

}  // namespace llavasharp::modules
