#include "layers/attention.h"

#include <cmath>

#include "core/matmul.h"
#include "layers/linear.h"
#include "layers/norm.h"

namespace llavasharp::layers {
namespace {

int64_t query_width(const AttentionConfig& c) {
  return int64_t{c.heads} * c.head_dim;
}

int64_t key_width(const AttentionConfig& c) {
  return int64_t{c.kv_heads} * c.head_dim;
}

// Columns of a [·, (H+2K)·d] matrix.
View queries_of(const AttentionConfig& c, View qkv) {
  return qkv.col_range(0, query_width(c));
}
View keys_values_of(const AttentionConfig& c, View qkv) {
  return qkv.col_range(query_width(c), 2 * key_width(c));
}
// Columns of a [·, 2K·d] matrix.
View keys_of(const AttentionConfig& c, View kv) {
  return kv.col_range(0, key_width(c));
}
View values_of(const AttentionConfig& c, View kv) {
  return kv.col_range(key_width(c), key_width(c));
}
// Rows of the fused weight [(H+2K)·d, D]; empty stays empty.
View weight_rows(View qkv, int64_t begin, int64_t count) {
  return qkv.empty() ? View{} : qkv.row_range(begin, count);
}

backend::AttentionShape shape_of(const AttentionConfig& c, const Packing& packing,
                                 const Selection* selection) {
  return {.samples = packing.samples,
          .q_start = selection != nullptr ? selection->starts : packing.starts,
          .k_start = packing.key_starts,
          .k_count = packing.key_counts,
          .q_visible = selection != nullptr ? selection->visible : packing.visible,
          .heads = c.heads,
          .kv_heads = c.kv_heads,
          .head_dim = c.head_dim,
          .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)))};
}

// What the products read; made again for the weights' gradients.
struct Normed {
  View all;   // [T, D]
  View rows;  // [R, D], with a selection only.
};

Normed make_normed(Context context, const AttentionConfig& c, const AttentionWeights& weights,
                   const Selection* selection, const AttentionSaved& s) {
  Normed normed{.all = context.arena.take(s.x.rows, s.x.cols), .rows = {}};
  rms_norm_forward(context, normed.all, s.x, weights.norm, c.norm_eps, s.inverse_rms);
  if (selection != nullptr) {
    normed.rows = context.arena.take(selection->count, s.x.cols);
    context.kernels.gather_rows(normed.rows, normed.all, selection->rows);
  }
  return normed;
}

// qkv = rope(normed · Wqkvᵀ), all rows.
void project_all(Context context, const AttentionConfig& c, const AttentionWeights& weights,
                 const Packing& packing, const AttentionSaved& s, const Normed& normed) {
  adapted_forward(context, weights.qkv, weights.qkv_lora, Site::kAttention, s.qkv, normed.all,
                  s.qkv_adapted);
  const View rotated = s.qkv.col_range(0, query_width(c) + key_width(c));
  context.kernels.rope(rotated, packing.positions, c.rope_frequencies, c.heads + c.kv_heads,
                       c.head_dim, false);
}

// Keys and values of all rows, queries of the selected ones.
void project_selected(Context context, const AttentionConfig& c, const AttentionWeights& weights,
                      const Packing& packing, const Selection& selection, const AttentionSaved& s,
                      const Normed& normed) {
  const int64_t queries = query_width(c);
  const View kv = keys_values_of(c, s.qkv);
  adapted_forward(context, weight_rows(weights.qkv, queries, kv.cols),
                  weights.qkv_lora.slice(queries, queries + kv.cols), Site::kAttention, kv,
                  normed.all, s.qkv_adapted);
  context.kernels.rope(keys_of(c, kv), packing.positions, c.rope_frequencies, c.kv_heads,
                       c.head_dim, false);
  adapted_forward(context, weight_rows(weights.qkv, 0, queries), weights.qkv_lora.slice(0, queries),
                  Site::kAttentionRows, s.query, normed.rows, s.query_adapted);
  context.kernels.rope(s.query, selection.positions, c.rope_frequencies, c.heads, c.head_dim,
                       false);
}

// Takes what backward reads.
AttentionSaved take(Context context, const AttentionConfig& c, const AttentionWeights& weights,
                    View x, const Selection* selection, Keep keep) {
  core::Arena& arena = context.arena;
  const int64_t rows = selection != nullptr ? selection->count : x.rows;
  const int64_t queries = query_width(c);
  const int64_t width = queries + 2 * key_width(c);
  AttentionSaved s;
  s.x = x;
  s.inverse_rms = arena.take(1, x.rows);
  s.qkv = arena.take(x.rows, width);
  s.query = selection != nullptr ? arena.take(rows, queries) : queries_of(c, s.qkv);
  s.attended = arena.take(rows, queries);
  s.log_sum_exp = keep == Keep::kNothing ? View{} : arena.take(rows, c.heads);
  if (selection != nullptr) {
    s.qkv_adapted =
        take_adapted(arena, weights.qkv_lora.slice(queries, width), x.rows, width - queries);
    s.query_adapted = take_adapted(arena, weights.qkv_lora.slice(0, queries), rows, queries);
  } else {
    s.qkv_adapted = take_adapted(arena, weights.qkv_lora, x.rows, width);
  }
  s.out_adapted = take_adapted(arena, weights.out_lora, rows, weights.out.rows);
  return s;
}

}  // namespace

void attention_forward(Context context, const AttentionConfig& config,
                       const AttentionWeights& weights, const Packing& packing,
                       const Selection* selection, const LayerCache* cache, View y, View x,
                       Keep keep, AttentionSaved* saved) {
  const core::Arena::Mark start = context.arena.mark();
  const AttentionSaved s = take(context, config, weights, x, selection, keep);
  const core::Arena::Mark kept = context.arena.mark();
  {
    const Scratch scratch(context.arena);
    const Normed normed = make_normed(context, config, weights, selection, s);
    if (selection != nullptr) {
      project_selected(context, config, weights, packing, *selection, s, normed);
    } else {
      project_all(context, config, weights, packing, s, normed);
    }
  }
  View keys_values = keys_values_of(config, s.qkv);
  if (cache != nullptr) {
    context.kernels.scatter_rows(cache->keys_values, keys_values, cache->rows, false);
    keys_values = cache->keys_values;
  }
  context.kernels.attention_forward(s.attended, s.log_sum_exp, s.query,
                                    keys_of(config, keys_values), values_of(config, keys_values),
                                    shape_of(config, packing, selection));
  if (selection != nullptr) {
    context.kernels.gather_rows(y, x, selection->rows);
  } else if (y.data != x.data) {
    context.kernels.copy(y, x);
  }
  adapted_forward(context, weights.out, weights.out_lora, Site::kAttended, y, s.attended,
                  s.out_adapted, core::Accumulate::kYes);
  context.arena.rewind(keep == Keep::kNothing ? start : kept);
  if (saved != nullptr) {
    *saved = s;
  }
}

namespace {

// Gradients of qkv [T, (H+2K)·d], before rope's inverse, and of the query [R, H·d], which is its
// columns or, with a selection, its own.
struct ProjectedGradients {
  View qkv;
  View query;
};

// From dy [R, D] through the output product and the attention.
void attend_backward(Context context, const AttentionConfig& config,
                     const AttentionWeights& weights, const AttentionWeights& gradients,
                     const backend::AttentionShape& shape, const ProjectedGradients& d, View dy,
                     const AttentionSaved& saved) {
  const Scratch scratch(context.arena);
  const View dattended = context.arena.take(dy.rows, query_width(config));  // [R, H·d]
  linear_backward_weights(context, {.weight = gradients.out, .bias = {}}, dy, saved.attended);
  adapted_backward(context, weights.out, weights.out_lora, gradients.out_lora, Site::kAttended,
                   dattended, dy, saved.attended, saved.out_adapted);
  const View dkv = keys_values_of(config, d.qkv);
  const View kv = keys_values_of(config, saved.qkv);
  context.kernels.attention_backward(d.query, keys_of(config, dkv), values_of(config, dkv),
                                     dattended, saved.attended, saved.log_sum_exp, saved.query,
                                     keys_of(config, kv), values_of(config, kv), shape);
}

// dnormed [T, D] from the gradients of what project_selected made.
void project_selected_backward(Context context, const AttentionConfig& config,
                               const AttentionWeights& weights, const AttentionWeights& gradients,
                               const Selection& selection, View dnormed,
                               const ProjectedGradients& d, const AttentionSaved& saved,
                               const Normed& normed) {
  const int64_t queries = query_width(config);
  const View dkv = keys_values_of(config, d.qkv);
  const int64_t width = queries + dkv.cols;
  linear_backward_weights(context,
                          {.weight = weight_rows(gradients.qkv, queries, dkv.cols), .bias = {}},
                          dkv, normed.all);
  linear_backward_weights(context, {.weight = weight_rows(gradients.qkv, 0, queries), .bias = {}},
                          d.query, normed.rows);
  adapted_backward(context, weight_rows(weights.qkv, queries, dkv.cols),
                   weights.qkv_lora.slice(queries, width), gradients.qkv_lora.slice(queries, width),
                   Site::kAttention, dnormed, dkv, normed.all, saved.qkv_adapted);
  const View dnormed_rows = context.arena.take(d.query.rows, dnormed.cols);  // [R, D]
  adapted_backward(context, weight_rows(weights.qkv, 0, queries),
                   weights.qkv_lora.slice(0, queries), gradients.qkv_lora.slice(0, queries),
                   Site::kAttentionRows, dnormed_rows, d.query, normed.rows, saved.query_adapted);
  context.kernels.scatter_rows(dnormed, dnormed_rows, selection.rows, true);
}

}  // namespace

void attention_backward(Context context, const AttentionConfig& config,
                        const AttentionWeights& weights, const AttentionWeights& gradients,
                        const Packing& packing, const Selection* selection, View dx, View dy,
                        const AttentionSaved& saved) {
  const Scratch scratch(context.arena);
  const int64_t queries = query_width(config);
  const View dqkv = context.arena.take(saved.qkv.rows, saved.qkv.cols);  // [T, (H+2K)·d]
  const ProjectedGradients d{.qkv = dqkv,
                             .query = selection != nullptr ? context.arena.take(dy.rows, queries)
                                                           : queries_of(config, dqkv)};
  attend_backward(context, config, weights, gradients, shape_of(config, packing, selection), d, dy,
                  saved);

  const View dnormed = context.arena.take(dx.rows, dx.cols);  // [T, D]
  Normed normed;
  if (!gradients.qkv.empty() || !gradients.qkv_lora.a.empty()) {
    normed = make_normed(context, config, weights, selection, saved);
  }
  const auto unrotate = [&](View x, const int32_t* positions, int32_t heads) {
    context.kernels.rope(x, positions, config.rope_frequencies, heads, config.head_dim, true);
  };
  if (selection == nullptr) {
    unrotate(dqkv.col_range(0, queries + key_width(config)), packing.positions,
             config.heads + config.kv_heads);
    linear_backward_weights(context, {.weight = gradients.qkv, .bias = {}}, dqkv, normed.all);
    adapted_backward(context, weights.qkv, weights.qkv_lora, gradients.qkv_lora, Site::kAttention,
                     dnormed, dqkv, normed.all, saved.qkv_adapted);
  } else {
    unrotate(keys_of(config, keys_values_of(config, dqkv)), packing.positions, config.kv_heads);
    unrotate(d.query, selection->positions, config.heads);
    project_selected_backward(context, config, weights, gradients, *selection, dnormed, d, saved,
                              normed);
    context.kernels.fill(dx, 0.0F);
    context.kernels.scatter_rows(dx, dy, selection->rows, false);
  }
  rms_norm_backward(context, dx, gradients.norm, dnormed, saved.x, weights.norm, saved.inverse_rms);
}

}  // namespace llavasharp::layers
