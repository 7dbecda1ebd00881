// Buffers come from libtorch's allocator, as what libtorch makes itself does.
#include "core/memory.h"

#include <sys/mman.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/libtorch.h"

namespace llavasharp::core {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kFloatsMax = std::numeric_limits<int64_t>::max() / kFloatBytes / 2;

constexpr int64_t kHugeBytes = int64_t{2} << 20;

// Memory and swap.
int64_t machine_bytes() {
  struct sysinfo machine{};
  if (sysinfo(&machine) != 0) {
    fail(LLV_DEVICE, "the machine does not say how much memory it has");
  }
  return static_cast<int64_t>((machine.totalram + machine.totalswap) * machine.mem_unit);
}

AtenTensorHandle allocate(int64_t floats) {
  const int64_t stride = 1;
  AtenTensorHandle tensor = nullptr;
  // The machine is asked first: libtorch would print a stack trace about what cannot be had.
  if (floats * kFloatBytes > machine_bytes() ||
      aoti_torch_empty_strided(1, &floats, &stride, aoti_torch_dtype_float32(),
                               aoti_torch_device_type_cpu(), 0, &tensor) != 0 ||
      tensor == nullptr) {
    fail(LLV_OUT_OF_MEMORY, "out of memory: %" PRId64 " bytes (%.1f MiB) could not be allocated",
         floats * kFloatBytes, static_cast<double>(floats * kFloatBytes) / (1024.0 * 1024.0));
  }
  return tensor;
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
  return std::accumulate(held_.begin(), held_.end(), int64_t{0});
}

Buffer::Buffer(std::shared_ptr<MemoryLedger> ledger, Purpose purpose, int64_t floats, bool zeroed)
    : ledger_(std::move(ledger)), floats_(floats), purpose_(purpose) {
  if (floats < 0 || floats > kFloatsMax) {
    fail(LLV_OUT_OF_MEMORY, "a buffer of %" PRId64 " floats is not possible", floats);
  }
  if (floats == 0) {
    return;
  }
  Tensor tensor(allocate(floats));
  void* data = nullptr;
  if (aoti_torch_get_data_ptr(tensor.get(), &data) != 0 || data == nullptr) {
    fail(LLV_DEVICE, "libtorch gave no memory for a tensor of %" PRId64 " floats", floats);
  }
  if (zeroed) {
    std::memset(data, 0, static_cast<size_t>(floats * kFloatBytes));
  }
  data_ = static_cast<float*>(data);
  if (ledger_) {
    ledger_->add(purpose_, floats * kFloatBytes);
  }
  tensor_ = tensor.release();
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
    tensor_ = std::exchange(other.tensor_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    floats_ = std::exchange(other.floats_, 0);
    purpose_ = other.purpose_;
  }
  return *this;
}

void Buffer::release() noexcept {
  if (tensor_ == nullptr) {
    return;
  }
  DeleteTensor{}(static_cast<AtenTensorHandle>(tensor_));
  if (ledger_) {
    ledger_->remove(purpose_, floats_ * kFloatBytes);
  }
  tensor_ = nullptr;
  data_ = nullptr;
  floats_ = 0;
}

Arena::~Arena() {
  if (base_ != nullptr) {
    ledger_->remove(Purpose::kWorkspace, high_ * kFloatBytes);
    (void)munmap(base_, static_cast<size_t>(reserved_ * kFloatBytes));
  }
}

// Addresses only: they cost nothing until commit().
void Arena::reserve() {
  const int64_t floats = machine_bytes() / kHugeBytes * kHugeBytes / kFloatBytes;
  void* base = mmap(nullptr, static_cast<size_t>(floats * kFloatBytes), PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    fail(LLV_OUT_OF_MEMORY,
         "out of memory: addresses for %" PRId64 " bytes of workspace are refused",
         floats * kFloatBytes);
  }
  base_ = static_cast<float*>(base);
  reserved_ = floats;
}

void Arena::commit(int64_t floats) {
  if (base_ == nullptr) {
    reserve();
  }
  const int64_t wanted = std::min(
      (floats * kFloatBytes + kHugeBytes - 1) / kHugeBytes * kHugeBytes / kFloatBytes, reserved_);
  if (floats > reserved_ ||
      mprotect(base_ + committed_, static_cast<size_t>((wanted - committed_) * kFloatBytes),
               PROT_READ | PROT_WRITE) != 0) {
    fail(LLV_OUT_OF_MEMORY,
         "out of memory: a workspace of %" PRId64 " bytes (%.1f MiB) is not possible",
         floats * kFloatBytes, static_cast<double>(floats * kFloatBytes) / (1024.0 * 1024.0));
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
