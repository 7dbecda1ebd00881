#include "model/decoder.h"

namespace llavasharp::model {
namespace {

using layers::Context;
using layers::Keep;

layers::AttentionConfig attention_config(const Config& config) {
  const llv_model_config& c = config.get();
  return {.heads = c.heads,
          .kv_heads = c.kv_heads,
          .head_dim = c.head_dim,
          .norm_eps = c.norm_eps,
          .rope_frequencies = config.rope_frequencies()};
}

void reach(const DecoderRun& run, Pass pass, size_t layer) {
  if (run.order != nullptr) {
    run.order->reach(pass, kFirstLayerUnit + static_cast<int32_t>(layer));
  }
}

// The masks of layer `index`.
Context of_layer(Context context, size_t index) {
  if (context.dropout.active) {
    context.dropout.key = backend::mix_keys(context.dropout.key, index, 0);
  }
  return context;
}

bool is_recomputed(const DecoderRun& run, size_t layer, bool last) {
  return layer < run.recompute && !last;
}

// What the layer's backward reads, once more from its input. Its output is not made.
void recompute(Context context, const layers::AttentionConfig& attention,
               const DecoderLayerWeights& weights, const DecoderRun& run,
               DecoderLayerSaved& saved) {
  const View middle = context.arena.take(saved.x.rows, saved.x.cols);  // [T, D]
  layers::attention_forward(context, attention, weights.attention, run.packing, nullptr, nullptr,
                            middle, saved.x, run.keep, &saved.attention);
  layers::mlp_forward(context, attention.norm_eps, weights.mlp, View{}, middle, run.keep,
                      &saved.mlp);
}

}  // namespace

void decoder_forward(Context context, const Config& config,
                     std::span<const DecoderLayerWeights> weights, const DecoderRun& run,
                     View hidden, View x, std::span<DecoderLayerSaved> saved) {
  const layers::AttentionConfig attention = attention_config(config);
  const bool keep = run.keep != Keep::kNothing;
  for (size_t i = 0; i < weights.size(); ++i) {
    reach(run, Pass::kForward, i);
    const bool last = i + 1 == weights.size();
    const layers::Selection* selection = last ? run.selection : nullptr;
    const layers::LayerCache* cache = run.caches.empty() ? nullptr : &run.caches[i];
    if (keep) {
      saved[i].begin = context.arena.mark();
      saved[i].x = x;
    }
    const Keep kept = keep && is_recomputed(run, i, last) ? Keep::kNothing : run.keep;
    const int64_t rows = last ? hidden.rows : x.rows;
    // Residual stream after attention and after the MLP; one buffer where nothing is kept.
    View middle = last ? hidden : x;  // [T or R, D]
    View out = middle;                // [T or R, D]
    if (keep && kept == Keep::kNothing) {
      middle = out = context.arena.take(rows, x.cols);
    } else if (keep) {
      middle = context.arena.take(rows, x.cols);
      out = last ? hidden : context.arena.take(rows, x.cols);
    }
    const Context inside = of_layer(context, i);
    layers::attention_forward(inside, attention, weights[i].attention, run.packing, selection,
                              cache, middle, x, kept, keep ? &saved[i].attention : nullptr);
    layers::mlp_forward(inside, attention.norm_eps, weights[i].mlp, out, middle, kept,
                        keep ? &saved[i].mlp : nullptr);
    x = out;
  }
}

void decoder_backward(Context context, const Config& config,
                      std::span<const DecoderLayerWeights> weights,
                      std::span<const DecoderLayerWeights> gradients, const DecoderRun& run,
                      View dx, View dhidden, std::span<DecoderLayerSaved> saved) {
  const layers::AttentionConfig attention = attention_config(config);
  for (size_t i = weights.size(); i-- > 0;) {
    reach(run, Pass::kBackward, i);
    const bool last = i + 1 == weights.size();
    const View dy = last ? dhidden : dx;
    const Context inside = of_layer(context, i);
    if (is_recomputed(run, i, last)) {
      recompute(inside, attention, weights[i], run, saved[i]);
    }
    layers::mlp_backward(inside, attention.norm_eps, weights[i].mlp, gradients[i].mlp, dy,
                         saved[i].mlp);
    layers::attention_backward(inside, attention, weights[i].attention, gradients[i].attention,
                               run.packing, last ? run.selection : nullptr, dx, dy,
                               saved[i].attention);
    context.arena.rewind(saved[i].begin);
  }
}

}  // namespace llavasharp::model
