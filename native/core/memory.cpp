// Buffers come from libtorch's allocator, so that one allocator holds all of a device's memory.
#include "core/memory.h"

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

// Asks the machine first: libtorch would print a stack trace about what cannot be had.
bool fits_machine(int64_t bytes) {
  struct sysinfo machine{};
  if (sysinfo(&machine) != 0) {
    return true;
  }
  const double held =
      static_cast<double>(machine.totalram) + static_cast<double>(machine.totalswap);
  return static_cast<double>(bytes) <= held * machine.mem_unit;
}

AtenTensorHandle allocate(int64_t floats) {
  const int64_t stride = 1;
  AtenTensorHandle tensor = nullptr;
  if (!fits_machine(floats * kFloatBytes) ||
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

// `used_` counts the unused ends of the blocks that were left, so that a mark is a position in
// the blocks laid end to end.
View Arena::take(int64_t rows, int64_t cols) {
  if (rows < 0 || cols < 0 || (cols > 0 && rows > kFloatsMax / cols)) {
    fail(LLV_OUT_OF_MEMORY, "a workspace of %" PRId64 " x %" PRId64 " floats is not possible", rows,
         cols);
  }
  const int64_t floats = rounded(rows * cols);
  while (block_ < blocks_.size() && blocks_[block_].floats() - in_block_ < floats) {
    unused_[block_] = blocks_[block_].floats() - in_block_;
    used_ += unused_[block_];
    in_block_ = 0;
    ++block_;
  }
  if (block_ == blocks_.size()) {
    blocks_.emplace_back(ledger_, Purpose::kWorkspace, std::max(floats, kBlockFloats));
    unused_.push_back(0);
  }
  float* data = blocks_[block_].data() + in_block_;
  in_block_ += floats;
  used_ += floats;
  const auto left = unused_.begin() + static_cast<std::ptrdiff_t>(block_);
  high_ = std::max(high_, used_ - std::accumulate(unused_.begin(), left, int64_t{0}));
  return dense(data, rows, cols);
}

int32_t* Arena::take_ints(int64_t count) {
  static_assert(sizeof(int32_t) == sizeof(float));
  return reinterpret_cast<int32_t*>(take(1, count).f32());
}

Arena::Mark Arena::mark() const {
  return used_;
}

void Arena::rewind(Mark mark) {
  if (mark < 0 || mark > used_) {
    fail(LLV_INTERNAL, "workspace rewound to %" PRId64 " of %" PRId64 " floats", mark, used_);
  }
  used_ = mark;
  in_block_ = mark;
  block_ = 0;
  if (mark == 0 && blocks_.size() > 1) {
    blocks_.clear();  // First: both at once would raise the peak.
    try {
      blocks_.emplace_back(ledger_, Purpose::kWorkspace, high_);
      unused_.assign(1, 0);
    } catch (const Error&) {
      blocks_.clear();
      unused_.clear();  // Destructors rewind, so this may not fail: the next take reports it.
    }
    return;
  }
  while (block_ < blocks_.size() && in_block_ > blocks_[block_].floats()) {
    in_block_ -= blocks_[block_].floats();
    ++block_;
  }
}

}  // namespace llavasharp::core
