// What a rank holds of each unit: its gradient, AdamW's moments and, in stage 3, its weights, whole
// or its own piece; and the buffers that are whole for a while.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/memory.h"
#include "model/llava.h"

namespace llavasharp::train {

// A unit's floats in one piece a rank, each a multiple of 16 but for the last ones.
struct Pieces {
  int64_t floats = 0;
  int64_t stride = 0;

  Pieces() = default;
  Pieces(int64_t count, int32_t world)
      : floats(count), stride((count + 16L * world - 1) / (16L * world) * 16) {}
  [[nodiscard]] int64_t begin(int32_t rank) const { return std::min(rank * stride, floats); }
  [[nodiscard]] int64_t end(int32_t rank) const { return std::min((rank + 1) * stride, floats); }
  [[nodiscard]] int64_t count(int32_t rank) const { return end(rank) - begin(rank); }
};

// A range of a unit's floats, and where they are: data[0] is float `begin`.
struct Range {
  float* data = nullptr;
  int64_t begin = 0;
  int64_t count = 0;
};

// What lies in files of a folder instead of in memory.
struct Offload {
  std::string folder;
  bool optimizer = false;  // AdamW's moments.
  bool weights = false;    // Shards of weights.
};

// What a rank holds of a unit, before there is any of it.
struct ShardLayout {
  bool trains = false;
  bool sharded_weights = false;
  bool sharded_gradient = false;
  Pieces pieces;
  int64_t begin = 0, count = 0;  // What this rank updates: all in stage 0, else its piece.

  ShardLayout(const model::Unit& unit, bool trained, int32_t stage, int32_t rank, int32_t world);
  [[nodiscard]] int64_t kept_weights() const { return sharded_weights ? count : pieces.floats; }
  [[nodiscard]] int64_t kept_gradient() const {
    return !trains ? 0 : sharded_gradient ? count : pieces.floats;
  }
};

// Buffers that come and go: each is kept for the next, so that a steady step allocates nothing. A
// larger one serves; a smaller one makes place for it. A plan of the memory counts with a Buffer
// that only has a size.
template <typename Buffer>
class BufferPool {
 public:
  // make(floats) gives a new one.
  template <typename Make>
  [[nodiscard]] Buffer take(int64_t floats, const Make& make) {
    auto best = free_.end();
    for (auto at = free_.begin(); at != free_.end(); ++at) {
      if (at->floats() >= floats && (best == free_.end() || at->floats() < best->floats())) {
        best = at;
      }
    }
    if (best == free_.end()) {
      if (!free_.empty()) {
        free_.pop_back();
      }
      return make(floats);
    }
    Buffer buffer = std::move(*best);
    free_.erase(best);
    return buffer;
  }
  void give(Buffer buffer) {
    if (buffer.floats() > 0) {
      free_.push_back(std::move(buffer));
    }
  }
  [[nodiscard]] const std::vector<Buffer>& free() const { return free_; }

 private:
  std::vector<Buffer> free_;
};

// llv_slot
enum class Slot : int32_t { kGradient = 0, kFirstMoment = 1, kSecondMoment = 2, kWeight = 3 };

struct UnitShard : ShardLayout {
  using ShardLayout::ShardLayout;
  core::Buffer gradient, first, second, weights;
  core::Buffer whole_gradient, whole_weights;  // While they are whole.
  int64_t ticket = 0;                          // Of what is under way.
  int32_t bad_rank = -1;                       // Whose gradient was not finite.
};

// The units of a model, cut for a rank. The model must outlive it.
class Shards {
 public:
  // Takes the sharded units' weights out of the model.
  Shards(model::Llava& model, const Offload& offload, int32_t stage, int32_t rank, int32_t world);

  [[nodiscard]] UnitShard& at(int32_t unit) { return units_[static_cast<size_t>(unit)]; }
  [[nodiscard]] const UnitShard& at(int32_t unit) const {
    return units_[static_cast<size_t>(unit)];
  }
  [[nodiscard]] int32_t count() const { return static_cast<int32_t>(units_.size()); }
  [[nodiscard]] const model::Weights& gradients() const { return gradients_; }

  // Where passes add the unit's gradient: zeroed where it comes and goes.
  void open_gradient(int32_t unit);
  // Gives it back.
  void close_gradient(int32_t unit);
  [[nodiscard]] float* gradient_data(int32_t unit) const {
    return addresses_[static_cast<size_t>(unit)];
  }
  // The same for a sharded unit's weights: whole, to be filled; then lent to the model; given back.
  float* open_weights(int32_t unit);
  void lend_weights(int32_t unit);
  void close_weights(int32_t unit);

  // Where they lie in files: a unit's moments and shard will be used soon; not for a while.
  void fetch_state(int32_t unit) const;
  void leave_state(int32_t unit) const;

  // This rank's part of a slot.
  [[nodiscard]] Range part(Slot slot, int32_t unit);
  // Zeroes what is accumulated.
  void clear_gradients();

 private:
  [[nodiscard]] core::Buffer make(core::Purpose purpose, int64_t floats) const;
  [[nodiscard]] core::Buffer make(core::Purpose purpose, int64_t floats, bool in_file) const;
  void bind(int32_t unit, float* gradient);
  void take_weights(int32_t unit, UnitShard& shard);

  model::Llava& model_;
  Offload offload_;
  BufferPool<core::Buffer> gradient_pool_;
  BufferPool<core::Buffer> weight_pool_;
  std::vector<UnitShard> units_;
  std::vector<float*> addresses_;  // Where gradients are added; null: nowhere.
  model::Weights gradients_;       // Views of those.
};

}  // namespace llavasharp::train
