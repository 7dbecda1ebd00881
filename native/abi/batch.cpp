#include "abi/batch.h"

#include "abi/checks.h"
#include "abi/guard.h"

namespace llavasharp::abi {

model::Batch batch_of(const llv_batch* batch) {
  require_options(batch, "batch");
  const llv_batch& b = *batch;
  return {.tokens = span_of(b.tokens, b.tokens_count, "tokens"),
          .labels = span_of(b.labels, b.labels_count, "labels"),
          .positions = span_of(b.positions, b.positions_count, "positions"),
          .cu_seqlens = span_of(b.cu_seqlens, b.cu_seqlens_count, "cu_seqlens"),
          .image_slots = span_of(b.image_slots, b.image_slots_count, "image_slots"),
          .pixels = span_of(b.pixels, b.pixels_count, "pixels")};
}

}  // namespace llavasharp::abi

llv_status llv_batch_init(llv_batch* out_batch) {
  return llavasharp::abi::guard([&] {
    llavasharp::abi::require(out_batch, "out_batch");
    *out_batch = {};
    out_batch->size = sizeof(llv_batch);
  });
}
