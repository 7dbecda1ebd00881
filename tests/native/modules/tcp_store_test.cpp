// Rank 0's store among ranks that are threads here, and whoever else may connect to its port.
#include "modules/tcp_store.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <future>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace llavasharp::modules {
namespace {

constexpr std::chrono::seconds kPlenty(60);

Deadline in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

// A port that was free a moment ago.
std::string free_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  if (descriptor < 0) {
    throw std::runtime_error("no socket can be made");
  }
  sockaddr_in any{};
  any.sin_family = AF_INET;
  socklen_t size = sizeof any;
  EXPECT_EQ(bind(descriptor, reinterpret_cast<sockaddr*>(&any), size), 0);
  EXPECT_EQ(getsockname(descriptor, reinterpret_cast<sockaddr*>(&any), &size), 0);
  close(descriptor);
  return std::to_string(ntohs(any.sin_port));
}

Bytes bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

// What went wrong with a rank; empty when it met the others, left a word and read that of the last.
std::string take_part(int32_t rank, int32_t world, const std::string& address, Deadline deadline) {
  try {
    TcpStore store(rank, world, address, deadline);
    EXPECT_FALSE(store.own_address().empty());
    store.set(std::to_string(rank), bytes("word " + std::to_string(rank)));
    const std::string last = std::to_string(world - 1);
    EXPECT_EQ(store.get(last), bytes("word " + last));
    store.finish();
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

using Outcome = std::future<std::string>;

Outcome start(int32_t rank, int32_t world, const std::string& address,
              std::chrono::milliseconds time = kPlenty) {
  return std::async(std::launch::async, take_part, rank, world, address, in(time));
}

// A connection that says something and waits for no answer.
Socket say(const std::string& port, const Bytes& words) {
  while (true) {
    try {
      Socket socket = Socket::connect_to("127.0.0.1", port, in(kPlenty));
      socket.send_raw(words);
      return socket;
    } catch (const std::runtime_error&) {
      std::this_thread::yield();  // Rank 0 does not listen yet.
    }
  }
}

Bytes introduction(int32_t rank, int32_t world) {
  Bytes hello = bytes("LLVRANK\n");
  hello.resize(16);
  std::memcpy(hello.data() + 8, &rank, 4);
  std::memcpy(hello.data() + 12, &world, 4);
  return hello;
}

TEST(TcpStore, StraysTakeNobodysPlace) {
  const std::string port = free_port();
  const std::string address = "127.0.0.1:" + port;
  Outcome first = start(0, 3, address);
  std::vector<Socket> strays;
  for (const char* words :
       {"", "GET / HTTP/1.1\r\n\r\n", "LLVRANK", "\xff\xff\xff\xff\xff\xff\xff\xff"}) {
    strays.push_back(say(port, bytes(words)));
    say(port, bytes(words)).shut();
  }
  Outcome second = start(1, 3, address);
  strays.push_back(say(port, bytes("SSH-2.0-scan\r\n")));
  Outcome third = start(2, 3, address);
  EXPECT_EQ(first.get(), "");
  EXPECT_EQ(second.get(), "");
  EXPECT_EQ(third.get(), "");
}

TEST(TcpStore, ARankThatWasStartedAgainTakesItsOwnPlace) {
  const std::string port = free_port();
  const std::string address = "127.0.0.1:" + port;
  Outcome first = start(0, 3, address);
  {
    const Socket died = say(port, introduction(1, 3));
    EXPECT_EQ(died.receive_raw(8, in(kPlenty)), bytes("LLVRANK\n"));
  }
  Outcome third = start(2, 3, address);
  Outcome second = start(1, 3, address);
  EXPECT_EQ(first.get(), "");
  EXPECT_EQ(second.get(), "");
  EXPECT_EQ(third.get(), "");
}

TEST(TcpStore, ASecondProcessOfOneRankIsTurnedAway) {
  const std::string port = free_port();
  const std::string address = "127.0.0.1:" + port;
  Outcome first = start(0, 3, address);
  const Socket held = say(port, introduction(1, 3));
  EXPECT_EQ(held.receive_raw(8, in(kPlenty)), bytes("LLVRANK\n"));
  EXPECT_EQ(take_part(1, 3, address, in(kPlenty)),
            "two processes were started as rank 1: give each process a RANK of its own");
  held.shut();
  Outcome second = start(1, 3, address);
  Outcome third = start(2, 3, address);
  EXPECT_EQ(first.get(), "");
  EXPECT_EQ(second.get(), "");
  EXPECT_EQ(third.get(), "");
}

TEST(TcpStore, ALateRankIsTurnedAwayAndTheOthersGoOn) {
  const std::string port = free_port();
  const std::string address = "127.0.0.1:" + port;
  const Deadline deadline = in(kPlenty);
  std::optional<TcpStore> first(std::in_place, 0, 2, address, deadline);
  std::optional<TcpStore> second(std::in_place, 1, 2, address, deadline);
  EXPECT_EQ(take_part(1, 2, address, deadline),
            "the ranks of the job at " + address + " have met already: rank 1 came too late");
  second->set("key", bytes("value"));
  EXPECT_EQ(first->get("key"), bytes("value"));
  second.reset();
  first->finish();
}

TEST(TcpStore, RanksOfAnotherWorldEndAllWithTheSameWords) {
  const std::string address = "127.0.0.1:" + free_port();
  const std::string words =
      "rank 1 was started with 2 ranks, rank 0 with 3: start all of them with the same WORLD_SIZE";
  Outcome first = start(0, 3, address);
  Outcome second = start(1, 2, address);
  EXPECT_EQ(first.get(), words);
  EXPECT_EQ(second.get(), words);
}

TEST(TcpStore, ARankThatDoesNotComeIsNamedToAll) {
  const std::string address = "127.0.0.1:" + free_port();
  const std::chrono::seconds time(3);
  Outcome first = start(0, 4, address, time);
  Outcome third = start(2, 4, address, kPlenty);
  const std::string words = "ranks 1 and 3 have not come to " + address;
  EXPECT_EQ(first.get(), words);
  EXPECT_EQ(third.get(), words);
  const std::string nowhere = "no-such-host.invalid:" + free_port();
  EXPECT_EQ(take_part(0, 2, nowhere, in(std::chrono::milliseconds(100)))
                .find("rank 1 has not come to " + nowhere +
                      "; the name 'no-such-host.invalid' has no address"),
            0U);
  EXPECT_EQ(take_part(1, 2, nowhere, in(std::chrono::milliseconds(100)))
                .find("rank 0 does not answer on " + nowhere + ": the name 'no-such-host.invalid'"),
            0U);
}

TEST(TcpStore, APortThatIsTakenIsSaidOnBothSides) {
  const std::string port = free_port();
  const Socket taken = Socket::listen_on(port);
  EXPECT_EQ(take_part(0, 2, "127.0.0.1:" + port, in(kPlenty)),
            "rank 0 cannot listen on port " + port +
                ": Address already in use; another program or another rank 0 does");
  Outcome second = start(1, 2, "127.0.0.1:" + port);
  const Socket client = taken.accept_one(in(kPlenty));
  client.send_raw(bytes("HTTP/1.0 400 Bad Request\r\n"));
  EXPECT_EQ(second.get(), "another program than rank 0 answers on 127.0.0.1:" + port);
}

TEST(TcpStore, MeetsByIPv6) {
  try {
    const std::string port = free_port();
    const Socket listener = Socket::listen_on(port);
    const Socket probe = Socket::connect_to("::1", port, in(kPlenty));
  } catch (const std::runtime_error& error) {
    GTEST_SKIP() << "no IPv6 here: " << error.what();
  }
  for (const std::string host : {"[::1]:", "::1:"}) {
    const std::string address = host + free_port();
    Outcome first = start(0, 2, address);
    Outcome second = start(1, 2, address);
    EXPECT_EQ(first.get(), "");
    EXPECT_EQ(second.get(), "");
  }
}

TEST(TcpStore, AnAddressNeedsAPort) {
  for (const std::string address : {"host", "host:", "host:port", "host:123456", ""}) {
    EXPECT_EQ(take_part(0, 2, address, in(kPlenty)),
              "the address of rank 0 is '" + address + "': it must be host:port");
  }
}

TEST(TcpStore, LoopbackReachesThisMachineOnly) {
  EXPECT_TRUE(is_loopback("127.0.0.1"));
  EXPECT_TRUE(is_loopback("127.0.1.1"));
  EXPECT_TRUE(is_loopback("::1"));
  EXPECT_FALSE(is_loopback("10.127.0.1"));
  EXPECT_FALSE(is_loopback("fe80::1"));
}

}  // namespace
}  // namespace llavasharp::modules
