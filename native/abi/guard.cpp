#include "abi/guard.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <utility>

#include "core/error.h"

namespace llavasharp::abi {
namespace {

// A fixed buffer: keeping a message cannot fail.
constexpr size_t kMessageBytes = 1024;
thread_local std::array<char, kMessageBytes> thread_message{};

std::atomic<int64_t> living{0};

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

void keep_message(const char* text) noexcept {
  size_t length = std::strlen(text);
  if (length >= kMessageBytes) {
    length = kMessageBytes - 1;
    while (length > 0 && continues_character(text[length])) {
      --length;  // Text stays UTF-8.
    }
  }
  std::copy_n(text, length, thread_message.begin());
  thread_message.at(length) = '\0';
}

}  // namespace

const char* message() noexcept {
  return thread_message.data();
}

void clear_message() noexcept {
  thread_message[0] = '\0';
}

llv_status translate_exception() noexcept {
  try {
    throw;
  } catch (const core::Error& error) {
    keep_message(error.what());
    return error.status();
  } catch (const std::bad_alloc&) {
    keep_message("the host is out of memory");
    return LLV_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    keep_message(error.what());
    return LLV_INTERNAL;
  } catch (...) {
    keep_message("an unknown exception");
    return LLV_INTERNAL;
  }
}

void Gate::enter() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return !ending_; });
  if (owner_ == std::this_thread::get_id()) {
    core::fail(LLV_STATE, "a callback may not call into the engine that is running it");
  }
  if (owner_ != std::thread::id()) {
    core::fail(LLV_BUSY, "another thread is inside this engine: use one thread at a time");
  }
  owner_ = std::this_thread::get_id();
}

void Gate::leave() noexcept {
  std::unique_lock lock(mutex_);
  end_retired(lock);
  owner_ = std::thread::id();
}

void Gate::retire(Handle* handle) noexcept {
  std::unique_lock lock(mutex_);
  handle->next = retired_;
  retired_ = handle;
  if (owner_ == std::thread::id() && !ending_) {
    ending_ = true;
    end_retired(lock);
    ending_ = false;
    ended_.notify_all();
  }
}

// Destructors run unlocked: whoever holds the gate has the engine to itself.
void Gate::end_retired(std::unique_lock<std::mutex>& lock) noexcept {
  while (retired_ != nullptr) {
    std::unique_ptr<Handle> handle(std::exchange(retired_, retired_->next));
    lock.unlock();
    handle.reset();
    lock.lock();
  }
}

Alive::Alive() noexcept {
  living.fetch_add(1);
}

Alive::~Alive() {
  living.fetch_sub(1);
}

int64_t Alive::count() noexcept {
  return living.load();
}

}  // namespace llavasharp::abi
