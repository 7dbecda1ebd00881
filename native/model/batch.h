// A micro-batch as the host hands it over, its checks, and what layers read of it.
#pragma once

#include <cstdint>
#include <span>

#include "core/memory.h"
#include "layers/packing.h"
#include "model/config.h"

namespace llavasharp::model {

// Borrowed host memory; llv_batch in llavasharp.h says what each span is.
struct Batch {
  std::span<const int32_t> tokens;       // [T]
  std::span<const int32_t> labels;       // [T] or none
  std::span<const int32_t> positions;    // [T]
  std::span<const int32_t> cu_seqlens;   // [B+1]
  std::span<const int32_t> image_slots;  // [N·L]
  std::span<const float> pixels;         // [N, 3, S, S]

  [[nodiscard]] int64_t samples() const { return static_cast<int64_t>(cu_seqlens.size()) - 1; }
  [[nodiscard]] int64_t count() const { return static_cast<int64_t>(tokens.size()); }
};

// Throws LLV_INVALID or LLV_SHAPE, naming the entry and the values.
void check_batch(const Batch& batch, const Config& config);

// Images among pixels; throws LLV_SHAPE when they are not whole images of the model's size.
[[nodiscard]] int64_t check_pixels(std::span<const float> pixels, const Config& config);

// A batch as runs of samples that hold at most so many tokens together, or one sample; only between
// samples that no image's rows straddle.
class BatchParts {
 public:
  // The batch is borrowed, and checked.
  BatchParts(const Batch& batch, const Config& config, int64_t tokens);
  [[nodiscard]] bool done() const { return sample_ + 1 == batch_.cu_seqlens.size(); }
  // First token of the part that comes next.
  [[nodiscard]] int64_t first_token() const { return batch_.cu_seqlens[sample_]; }
  // The next part; what it does not borrow of the batch lies in the arena.
  [[nodiscard]] Batch next(core::Arena& arena);

 private:
  [[nodiscard]] bool images_end_at(int64_t token);

  const Batch& batch_;
  size_t image_rows_;
  size_t image_floats_;
  int64_t tokens_;
  size_t sample_ = 0;     // The next part's first sample,
  size_t image_ = 0;      // its first image,
  size_t image_end_ = 0;  // and the one after its last.
};

// Whether some token takes the learned image_newline: ids under image rows are not read.
[[nodiscard]] bool has_newlines(const Batch& batch);

// Packing of the batch, in the arena.
[[nodiscard]] layers::Packing make_packing(const Batch& batch, core::Arena& arena);

// The image rows that the decoder sees: those not cut off.
struct ImageRows {
  int64_t count = 0;                  // F
  const int32_t* rows = nullptr;      // [F] rising, of the N·L that the images give.
  const int32_t* slots = nullptr;     // [F] token index of each.
  const int32_t* tokens = nullptr;    // [T] ids, negative where an image row or newline stands.
  const int32_t* newlines = nullptr;  // [T] 0 where image_newline stands, else -1; null for none.
};
[[nodiscard]] ImageRows make_image_rows(const Batch& batch, core::Arena& arena);

// Rows that predict a supervised token, with that token in targets [R].
struct Supervised {
  layers::Selection selection;
  const int32_t* targets = nullptr;  // [R]
};
[[nodiscard]] Supervised make_supervised(const Batch& batch, core::Arena& arena);

// The given rising, distinct rows of the run.
[[nodiscard]] layers::Selection make_selection(const Batch& batch, std::span<const int32_t> rows,
                                               core::Arena& arena);

}  // namespace llavasharp::model
