// Device memory: buffers counted by purpose, and an arena that hands out parts of a growing block.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>

#include "core/view.h"

namespace llavasharp::core {

// kTransient: weights and gradients of sharded training that are whole for a while, and what ranks
// send each other. kMapped: what lies in files.
enum class Purpose : int32_t {
  kParameters,
  kGradients,
  kOptimizer,
  kTransient,
  kWorkspace,
  kMapped,
  kCount
};

// Bytes now held by purpose, and the most held at once. One an engine; not thread-safe.
class MemoryLedger {
 public:
  void add(Purpose purpose, int64_t bytes);
  void remove(Purpose purpose, int64_t bytes);
  void reset_peak();
  [[nodiscard]] int64_t held(Purpose purpose) const;
  [[nodiscard]] int64_t total() const;  // Files aside.
  [[nodiscard]] int64_t peak() const { return peak_; }

 private:
  std::array<int64_t, static_cast<size_t>(Purpose::kCount)> held_{};
  int64_t peak_ = 0;
};

// Owns one allocation on the CPU device, on a page of its own and zero.
// Throws LLV_OUT_OF_MEMORY with the bytes asked for. The ledger must outlive it (shared).
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<MemoryLedger> ledger, Purpose purpose, int64_t floats);
  // The same in a file of `folder` that has no name, so that nothing is left of it, however the
  // process ends. Its space is reserved: throws LLV_OUT_OF_MEMORY, with folder and bytes, where
  // there is none.
  Buffer(std::shared_ptr<MemoryLedger> ledger, const std::string& folder, int64_t floats);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] float* data() const { return data_; }
  [[nodiscard]] int64_t floats() const { return floats_; }

  // Of one in a file: it will be read soon, from its begin to its end; it will not for a while.
  // Nothing is done to one in memory.
  void fetch() const;
  void leave() const;

 private:
  void check_size() const;
  void release() noexcept;
  std::shared_ptr<MemoryLedger> ledger_;
  float* data_ = nullptr;
  int64_t floats_ = 0;
  Purpose purpose_ = Purpose::kWorkspace;
};

// Stack-like scratch: take() returns 64-byte aligned parts, rewind() gives back everything after a
// mark. It reserves addresses for as much as the process may have (limits.h), and asks for memory
// only where more is taken than ever before: growing moves nothing, and a steady step allocates
// nothing.
class Arena {
 public:
  using Mark = int64_t;
  // What taking `floats` uses up: parts start on cache lines.
  static constexpr int64_t rounded(int64_t floats) { return (floats + 15) / 16 * 16; }
  explicit Arena(std::shared_ptr<MemoryLedger> ledger) : ledger_(std::move(ledger)) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  Arena(Arena&&) = delete;
  Arena& operator=(Arena&&) = delete;
  // Uninitialised float32 [rows, cols]. Throws LLV_OUT_OF_MEMORY.
  [[nodiscard]] View take(int64_t rows, int64_t cols);
  [[nodiscard]] int32_t* take_ints(int64_t count);
  // Objects in their initial state; nothing ends their lives.
  template <typename T>
  [[nodiscard]] std::span<T> take_objects(int64_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 64);
    const auto bytes = static_cast<int64_t>(sizeof(T)) * count;
    T* first = reinterpret_cast<T*>(take(1, (bytes + 3) / 4).f32());
    std::uninitialized_value_construct_n(first, count);
    return {first, static_cast<size_t>(count)};
  }
  [[nodiscard]] Mark mark() const { return used_; }
  void rewind(Mark mark);

 private:
  void reserve(int64_t floats);
  [[noreturn]] void fail_workspace(int64_t floats) const;
  void commit(int64_t floats);
  std::shared_ptr<MemoryLedger> ledger_;
  float* base_ = nullptr;
  int64_t reserved_ = 0;   // Floats that have addresses,
  int64_t committed_ = 0;  // that may be used,
  int64_t high_ = 0;       // that were held at once at most,
  int64_t used_ = 0;       // that are held.
};

}  // namespace llavasharp::core
