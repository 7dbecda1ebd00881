// Memory comes from the machine's pages directly: they are zero and cost nothing until they are
// touched, and large ones (2 MiB) are asked for, because a fault for each 4 KiB costs more than
// filling it.
#include "core/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/limits.h"

namespace llavasharp::core {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kFloatsMax = std::numeric_limits<int64_t>::max() / kFloatBytes / 2;

constexpr int64_t kHugeBytes = int64_t{2} << 20;

double mebibytes(int64_t bytes) {
  return static_cast<double>(bytes) / (1024.0 * 1024.0);
}

[[noreturn]] void fail_allocation(int64_t bytes) {
  const MemoryLimit limit = memory_limit();
  fail(LLV_OUT_OF_MEMORY,
       "out of memory: %" PRId64 " bytes (%.1f MiB) could not be allocated; %s allows %.1f MiB",
       bytes, mebibytes(bytes), limit.name.c_str(), mebibytes(limit.bytes));
}

void ask_for_huge_pages(void* data, int64_t bytes) {
  (void)madvise(data, static_cast<size_t>(bytes), MADV_HUGEPAGE);  // A refusal costs speed alone.
}

// Zeroed; on a page of its own.
void* allocate(int64_t bytes) {
  if (bytes > memory_limit().bytes) {
    fail_allocation(bytes);
  }
  void* data = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    fail_allocation(bytes);
  }
  if (bytes >= kHugeBytes) {
    ask_for_huge_pages(data, bytes);
  }
  return data;
}

// A file without a name, open for writing; where the file system has no such files, one whose name
// is taken away at once.
int open_unnamed(const std::string& folder) {
  const int file = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) {
    return file;
  }
  std::string name = folder + "/tmp-state-XXXXXX";
  const int named = mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) {
    (void)unlink(name.c_str());
  }
  return named;
}

// Zeroed; the mapping keeps the file.
void* map_file(const std::string& folder, int64_t bytes) {
  const int file = open_unnamed(folder);
  if (file < 0) {
    fail(LLV_INVALID, "offload_folder: no file can be made in '%s': %s", folder.c_str(),
         std::generic_category().message(errno).c_str());
  }
  // Space first: a full disk would otherwise end the process at a write.
  const int error = posix_fallocate(file, 0, bytes);
  void* data = error != 0 ? MAP_FAILED
                          : mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                                 MAP_SHARED, file, 0);
  (void)close(file);
  if (data == MAP_FAILED) {
    fail(LLV_OUT_OF_MEMORY, "offload_folder: '%s' has no room for %" PRId64 " bytes (%.1f MiB)",
         folder.c_str(), bytes, mebibytes(bytes));
  }
  (void)madvise(data, static_cast<size_t>(bytes), MADV_SEQUENTIAL);
  return data;
}

}  // namespace

void MemoryLedger::add(Purpose purpose, int64_t bytes) {
  held_.at(static_cast<size_t>(purpose)) += bytes;
  peak_ = std::max(peak_, total());
}

void MemoryLedger::remove(Purpose purpose, int64_t bytes) {
  held_.at(static_cast<size_t>(purpose)) -= bytes;
}

void MemoryLedger::reset_peak() {
  peak_ = total();
}

int64_t MemoryLedger::held(Purpose purpose) const {
  return held_.at(static_cast<size_t>(purpose));
}

int64_t MemoryLedger::total() const {
  return std::accumulate(held_.begin(), held_.end(), int64_t{0}) - held(Purpose::kMapped);
}

Buffer::Buffer(std::shared_ptr<MemoryLedger> ledger, Purpose purpose, int64_t floats)
    : ledger_(std::move(ledger)), floats_(floats), purpose_(purpose) {
  check_size();
  if (floats == 0) {
    return;
  }
  data_ = static_cast<float*>(allocate(floats * kFloatBytes));
  if (ledger_) {
    ledger_->add(purpose_, floats * kFloatBytes);
  }
}

Buffer::Buffer(std::shared_ptr<MemoryLedger> ledger, const std::string& folder, int64_t floats)
    : ledger_(std::move(ledger)), floats_(floats), purpose_(Purpose::kMapped) {
  check_size();
  if (floats == 0) {
    return;
  }
  data_ = static_cast<float*>(map_file(folder, floats * kFloatBytes));
  if (ledger_) {
    ledger_->add(purpose_, floats * kFloatBytes);
  }
}

void Buffer::check_size() const {
  if (floats_ < 0 || floats_ > kFloatsMax) {
    fail(LLV_OUT_OF_MEMORY, "a buffer of %" PRId64 " floats is not possible", floats_);
  }
}

void Buffer::fetch() const {
  if (data_ != nullptr && purpose_ == Purpose::kMapped) {
    (void)madvise(data_, static_cast<size_t>(floats_ * kFloatBytes), MADV_WILLNEED);
  }
}

// The pages stay in the file's cache, where the machine writes and drops them as it sees fit.
void Buffer::leave() const {
  if (data_ != nullptr && purpose_ == Purpose::kMapped) {
    (void)madvise(data_, static_cast<size_t>(floats_ * kFloatBytes), MADV_DONTNEED);
  }
}

Buffer::~Buffer() {
  release();
}

Buffer::Buffer(Buffer&& other) noexcept {
  *this = std::move(other);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    release();
    ledger_ = std::move(other.ledger_);
    data_ = std::exchange(other.data_, nullptr);
    floats_ = std::exchange(other.floats_, 0);
    purpose_ = other.purpose_;
  }
  return *this;
}

void Buffer::release() noexcept {
  if (data_ == nullptr) {
    return;
  }
  (void)munmap(data_, static_cast<size_t>(floats_ * kFloatBytes));
  if (ledger_) {
    ledger_->remove(purpose_, floats_ * kFloatBytes);
  }
  data_ = nullptr;
  floats_ = 0;
}

Arena::~Arena() {
  if (base_ != nullptr) {
    ledger_->remove(Purpose::kWorkspace, high_ * kFloatBytes);
    (void)munmap(base_, static_cast<size_t>(reserved_ * kFloatBytes));
  }
}

// Addresses only: they cost nothing until commit(). Where addresses themselves are limited, what is
// not mapped yet must also hold stacks and everything else that is allocated later: the workspace
// gets three quarters of it, or less where even those are refused.
void Arena::reserve(int64_t floats) {
  const MemoryLimit limit = memory_limit();
  int64_t bytes = limit.bytes;
  if (const int64_t left = addresses_left(); left < bytes) {
    bytes = left / 4 * 3;
  }
  const auto map = [&bytes] {
    bytes = bytes / kHugeBytes * kHugeBytes;
    return mmap(nullptr, static_cast<size_t>(bytes), PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  };
  void* base = map();
  while (base == MAP_FAILED && bytes >= 2 * kHugeBytes) {
    bytes /= 2;
    base = map();
  }
  if (base == MAP_FAILED) {
    fail_workspace(floats);
  }
  ask_for_huge_pages(base, bytes);
  base_ = static_cast<float*>(base);
  reserved_ = bytes / kFloatBytes;
}

void Arena::fail_workspace(int64_t floats) const {
  const MemoryLimit limit = memory_limit();
  fail(LLV_OUT_OF_MEMORY,
       "out of memory: a workspace of %" PRId64
       " bytes (%.1f MiB) is not possible; %s allows %.1f "
       "MiB, of which the workspace has %.1f MiB",
       floats * kFloatBytes, mebibytes(floats * kFloatBytes), limit.name.c_str(),
       mebibytes(limit.bytes), mebibytes(reserved_ * kFloatBytes));
}

void Arena::commit(int64_t floats) {
  if (base_ == nullptr) {
    reserve(floats);
  }
  const int64_t wanted = std::min(
      (floats * kFloatBytes + kHugeBytes - 1) / kHugeBytes * kHugeBytes / kFloatBytes, reserved_);
  if (floats > reserved_ ||
      mprotect(base_ + committed_, static_cast<size_t>((wanted - committed_) * kFloatBytes),
               PROT_READ | PROT_WRITE) != 0) {
    fail_workspace(floats);
  }
  committed_ = wanted;
}

View Arena::take(int64_t rows, int64_t cols) {
  if (rows < 0 || cols < 0 || (cols > 0 && rows > kFloatsMax / cols)) {
    fail(LLV_OUT_OF_MEMORY, "a workspace of %" PRId64 " x %" PRId64 " floats is not possible", rows,
         cols);
  }
  const int64_t used = used_ + rounded(rows * cols);
  if (used > committed_) {
    commit(used);
  }
  if (used > high_) {
    ledger_->add(Purpose::kWorkspace, (used - high_) * kFloatBytes);
    high_ = used;
  }
  return dense(base_ + std::exchange(used_, used), rows, cols);
}

int32_t* Arena::take_ints(int64_t count) {
  static_assert(sizeof(int32_t) == sizeof(float));
  return reinterpret_cast<int32_t*>(take(1, count).f32());
}

void Arena::rewind(Mark mark) {
  if (mark < 0 || mark > used_) {
    fail(LLV_INTERNAL, "workspace rewound to %" PRId64 " of %" PRId64 " floats", mark, used_);
  }
  used_ = mark;
}

}  // namespace llavasharp::core
