// Checks of what comes over the C ABI, each with a message that holds the values.
#pragma once

#include <cstdint>
#include <span>

#include "core/error.h"

namespace llavasharp::abi {

template <typename T>
void require(const T* pointer, const char* name) {
  if (pointer == nullptr) {
    core::fail(LLV_INVALID, "%s is null", name);
  }
}

// The struct must have been set up by its _init function, of this version of the header.
template <typename Options>
void require_options(const Options* options, const char* name) {
  require(options, name);
  if (options->size != static_cast<int64_t>(sizeof(Options))) {
    core::fail(LLV_INVALID, "%s.size is %lld, not %zu: call its _init function first", name,
               static_cast<long long>(options->size), sizeof(Options));
  }
}

// x, x_count as a span; null only with count 0.
template <typename T>
std::span<T> span_of(T* values, int64_t count, const char* name) {
  if (count < 0) {
    core::fail(LLV_INVALID, "%s_count is %lld: must not be negative", name,
               static_cast<long long>(count));
  }
  if (values == nullptr && count > 0) {
    core::fail(LLV_INVALID, "%s is null, and %s_count is %lld", name, name,
               static_cast<long long>(count));
  }
  return {values, static_cast<size_t>(count)};
}

}  // namespace llavasharp::abi
