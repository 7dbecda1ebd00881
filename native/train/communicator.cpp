#include "train/communicator.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/error.h"

namespace llavasharp::train {
namespace {

using core::fail;

template <size_t N>
void put(std::array<char, N>& to, const char* text) {
  std::snprintf(to.data(), to.size(), "%s", text);
}

}  // namespace

Header::Header(int64_t count, const Label& label, int64_t size)
    : sequence(count), step(label.step), bytes(size) {
  put(op, label.op);
  put(unit, label.unit);
}

std::string Header::text() const {
  std::string words = "step " + std::to_string(step) + ", " + op.data();
  if (unit[0] != '\0') {
    words += std::string(" of ") + unit.data();
  }
  return words + ", " + std::to_string(bytes) + " bytes";
}

bool Header::same_work(const Header& other) const {
  return sequence == other.sequence && step == other.step && op == other.op && unit == other.unit;
}

Communicator::Communicator(int32_t rank, int32_t world, std::chrono::milliseconds timeout)
    : rank_(rank), world_(world), timeout_(timeout) {
  if (world < 1 || rank < 0 || rank >= world) {
    fail(LLV_INVALID, "rank %d of %d: the rank must be 0 to world - 1", rank, world);
  }
  if (timeout.count() < 1) {
    fail(LLV_INVALID, "timeout_ms is %lld: must be at least 1",
         static_cast<long long>(timeout.count()));
  }
  gather_send_.resize(static_cast<size_t>(world));
  gather_receive_.resize(static_cast<size_t>(world));
}

void Communicator::transfer(const Label& label, std::span<const Outgoing> send,
                            std::span<const Incoming> receive) {
  if (!failure_.empty()) {
    fail(LLV_COMM, "%s", failure_.c_str());
  }
  ++sequence_;
  step_ = label.step;
  if (world_ == 1) {
    return;
  }
  size_t bytes = 0;
  for (size_t peer = 0; peer < send.size(); ++peer) {
    if (static_cast<int32_t>(peer) != rank_) {
      bytes = std::max({bytes, send[peer].size(), receive[peer].size()});
    }
  }
  const Header header(sequence_, label, static_cast<int64_t>(bytes));
  if (journal_.is_open()) {
    note(header);
  }
  try {
    move(header, send, receive);
  } catch (const core::Error& error) {
    failure_ = error.what();
    throw;
  }
}

void Communicator::keep_journal(const std::string& path) {
  journal_.open(path, std::ios::binary | std::ios::trunc);
  if (!journal_) {
    fail(LLV_INVALID, "the journal '%s' cannot be written", path.c_str());
  }
}

// As long each time, so that nothing is left of a longer line.
void Communicator::note(const Header& label) {
  std::array<char, 192> line{};
  std::snprintf(line.data(), line.size(), "%lld\t%-160.160s\n",
                static_cast<long long>(label.sequence), label.text().c_str());
  journal_.seekp(0) << line.data() << std::flush;
}

void Communicator::all_gather(const Label& label, Outgoing mine, Incoming all) {
  const size_t each = mine.size();
  if (all.size() != each * static_cast<size_t>(world_)) {
    fail(LLV_SHAPE, "%zu bytes from each of %d ranks need %zu, there is room for %zu", each, world_,
         each * static_cast<size_t>(world_), all.size());
  }
  for (size_t peer = 0; peer < gather_send_.size(); ++peer) {
    gather_send_[peer] = mine;
    gather_receive_[peer] = all.subspan(peer * each, each);
  }
  transfer(label, gather_send_, gather_receive_);
  if (each > 0) {
    std::memcpy(all.data() + static_cast<size_t>(rank_) * each, mine.data(), each);
  }
}

std::chrono::steady_clock::time_point Communicator::deadline() const {
  return std::chrono::steady_clock::now() + timeout_;
}

void Communicator::fail_missing(const Header& label, std::span<const int32_t> missing) const {
  std::string ranks = missing.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < missing.size(); ++i) {
    ranks += (i == 0 ? "" : i + 1 == missing.size() ? " and " : ", ") + std::to_string(missing[i]);
  }
  fail(LLV_COMM, "%s %s not arrived: %s, after %.1f s", ranks.c_str(),
       missing.size() == 1 ? "has" : "have", label.text().c_str(),
       static_cast<double>(timeout_.count()) / 1000);
}

void Communicator::check_peer(const Header& mine, int32_t peer, const Header& theirs,
                              int64_t expected) const {
  if (!mine.same_work(theirs)) {
    fail(LLV_COMM, "the ranks disagree: rank %d is at %s; rank %d at %s", peer,
         theirs.text().c_str(), rank_, mine.text().c_str());
  }
  if (theirs.bytes != expected) {
    Header own = mine;
    own.bytes = expected;
    fail(LLV_COMM, "the ranks disagree: rank %d sends %lld bytes; rank %d expects %s", peer,
         static_cast<long long>(theirs.bytes), rank_, own.text().c_str());
  }
}

}  // namespace llavasharp::train
