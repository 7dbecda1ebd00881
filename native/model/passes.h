// Passes through the whole model: features, logits, loss, and loss with gradients.
//
// Host spans are read and written in place: on the CPU they are device memory. A device with its
// own memory copies here, and nowhere below.
#pragma once

#include <cstdint>
#include <span>

#include "model/batch.h"
#include "model/llava.h"
#include "model/projector.h"
#include "model/unit_order.h"

namespace llavasharp::model {

struct Loss {
  double sum = 0;      // Of the supervised tokens' cross entropies, in nats.
  int64_t tokens = 0;  // Supervised tokens.
};

// What the first decoder layer reads, in the arena.
struct Inputs {
  View x;  // [T, D]
  ImageRows images;
  ProjectorSaved projector;  // Kept where asked for.
};
[[nodiscard]] Inputs make_inputs(Llava& model, const Batch& batch, bool keep_projector);

// features [N, L, Dv] of pixels [N, 3, S, S].
void run_vision(Llava& model, std::span<const float> pixels, std::span<float> features);
// features [N, L, D] of pixels [N, 3, S, S].
void run_projected(Llava& model, std::span<const float> pixels, std::span<float> features);

// logits [rows, V] of the given rows of the run, in their order.
void run_logits(Llava& model, const Batch& batch, std::span<const int32_t> rows,
                std::span<float> logits);

// losses [B]: each sample's own.
void run_loss(Llava& model, const Batch& batch, std::span<double> losses,
              std::span<int64_t> tokens);

// Loss of the batch; gradients (of what trains) += options.scale · d(loss sum)/d(parameter).
// Throws LLV_INVALID without a supervised token and LLV_NUMERIC when the loss is not finite.
struct GradientOptions {
  double scale = 1;
  layers::Dropout dropout;  // Keys the adapters' masks.
  size_t recompute = 0;     // DecoderRun's.
  UnitOrder* order = nullptr;
  // Samples that hold at most so many tokens together run at once; 0: all of them where a product
  // of the decoder trains, else kFrozenTokens.
  int64_t tokens_at_once = 0;
};
// Enough rows for products at full speed. With frozen weights nothing else depends on their number.
inline constexpr int64_t kFrozenTokens = 1280;
[[nodiscard]] Loss run_gradients(Llava& model, const Batch& batch, const Weights& gradients,
                                 const GradientOptions& options);

}  // namespace llavasharp::model
