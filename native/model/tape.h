// An arena that only counts: what a plan walks over.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/memory.h"

namespace llavasharp::model {

class Tape {
 public:
  void take(int64_t rows, int64_t cols) {
    used_ += core::Arena::rounded(rows * cols);
    high_ = std::max(high_, used_);
  }
  void take_bytes(int64_t bytes) { take(1, (bytes + 3) / 4); }
  [[nodiscard]] int64_t mark() const { return used_; }
  void rewind(int64_t mark) { used_ = mark; }
  [[nodiscard]] int64_t high() const { return high_; }

 private:
  int64_t used_ = 0;
  int64_t high_ = 0;
};

}  // namespace llavasharp::model
