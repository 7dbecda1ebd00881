// The edge of the C ABI: exceptions become a status and this thread's message, and one thread at a
// time is inside an engine.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "include/llavasharp.h"

namespace llavasharp::abi {

// This thread's last message.
[[nodiscard]] const char* message() noexcept;
void clear_message() noexcept;
// To be called in a catch block: keeps the message of the exception in flight, returns its status.
[[nodiscard]] llv_status translate_exception() noexcept;

// Runs a call's body. No exception leaves it.
template <typename Body>
[[nodiscard]] llv_status guard(Body&& body) noexcept {
  clear_message();
  try {
    body();
    return LLV_OK;
  } catch (...) {
    return translate_exception();
  }
}

// What every opaque handle of llavasharp.h derives from.
struct Handle {
  Handle() = default;
  virtual ~Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle(Handle&&) = delete;
  Handle& operator=(Handle&&) = delete;

  Handle* next = nullptr;  // In a gate's list of what is to end.
};

// Lets one thread into an engine at a time, and puts off the end of handles that another thread
// (a finalizer's) releases meanwhile.
class Gate {
 public:
  // Throws LLV_BUSY when another thread is inside, LLV_STATE when this one is.
  void enter();
  void leave() noexcept;
  // Ends the handle: at once, or when the thread inside leaves.
  void retire(Handle* handle) noexcept;

 private:
  void end_retired(std::unique_lock<std::mutex>& lock) noexcept;

  std::mutex mutex_;
  std::condition_variable ended_;
  std::thread::id owner_;      // None: nobody is inside.
  bool ending_ = false;        // A release is at work: a call waits for it, rather than be busy.
  Handle* retired_ = nullptr;  // Owned, the latest first.
};

// Counts an object among the living while it exists.
class Alive {
 public:
  Alive() noexcept;
  ~Alive();
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;
  Alive(Alive&&) = delete;
  Alive& operator=(Alive&&) = delete;

  [[nodiscard]] static int64_t count() noexcept;
};

}  // namespace llavasharp::abi
