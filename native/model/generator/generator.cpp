#include "model/generator/generator.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "layers/embedding.h"
#include "layers/loss.h"
#include "model/open_units.h"
#include "model/passes.h"

namespace llavasharp::model {

using core::fail;
using layers::Context;
using layers::Scratch;

struct Generator::Outputs {
  std::span<const int32_t> stop_tokens;
  std::span<int32_t> tokens;   // [B, M]
  std::span<int32_t> lengths;  // [B]
  const TokenCallback& callback;
  int64_t row;  // M
};

void Generator::run(const Batch& batch, const Sampling& sampling,
                    std::span<const int32_t> stop_tokens, std::span<int32_t> tokens,
                    std::span<int32_t> lengths, const TokenCallback& callback) {
  model_.check_whole();
  check_batch(batch, model_.config());
  check_sampling(sampling);
  const int64_t samples = batch.samples();
  const int64_t row = sampling.max_new_tokens;
  const int64_t needed = samples * row;
  if (static_cast<int64_t>(tokens.size()) != needed) {
    fail(LLV_SHAPE, "out_tokens has room for %zu tokens: %lld prompts of %lld need %lld",
         tokens.size(), static_cast<long long>(samples), static_cast<long long>(row),
         static_cast<long long>(needed));
  }
  if (static_cast<int64_t>(lengths.size()) != samples) {
    fail(LLV_SHAPE, "out_lengths has room for %zu lengths: %lld are needed", lengths.size(),
         static_cast<long long>(samples));
  }
  start(batch, sampling.max_new_tokens);
  Sampler sampler(sampling);
  const Outputs outputs{.stop_tokens = stop_tokens,
                        .tokens = tokens,
                        .lengths = lengths,
                        .callback = callback,
                        .row = row};
  core::Arena& arena = model_.engine().arena();
  const int64_t width = model_.config().get().hidden;
  for (int64_t step = 0; !sequences_.empty(); ++step) {
    const Scratch scratch(arena);
    const View hidden = arena.take(static_cast<int64_t>(sequences_.size()), width);  // [A, D]
    if (step == 0) {
      prefill(batch, hidden);
    } else {
      decode(hidden);
    }
    advance(hidden, step, sampler, outputs);
  }
}

void Generator::reserve_cache(int64_t rows) {
  if (rows <= cache_rows_) {
    return;
  }
  const int64_t width = model_.config().key_value_width();
  cache_.clear();
  cache_rows_ = 0;
  for (int32_t i = 0; i < model_.config().get().layers; ++i) {
    cache_.emplace_back(model_.engine().ledger(), core::Purpose::kWorkspace, rows * width);
  }
  cache_rows_ = rows;
}

void Generator::start(const Batch& batch, int32_t max_new_tokens) {
  const int64_t rows = batch.count() + batch.samples() * max_new_tokens;
  if (rows > std::numeric_limits<int32_t>::max()) {
    fail(LLV_INVALID, "%lld prompts with max_new_tokens %d need a cache of %lld rows: at most %d",
         static_cast<long long>(batch.samples()), max_new_tokens, static_cast<long long>(rows),
         std::numeric_limits<int32_t>::max());
  }
  reserve_cache(rows);
  sequences_.clear();
  int32_t next = 0;
  for (int32_t b = 0; b < static_cast<int32_t>(batch.samples()); ++b) {
    const int32_t begin = batch.cu_seqlens[static_cast<size_t>(b)];
    const int32_t end = batch.cu_seqlens[static_cast<size_t>(b) + 1];
    sequences_.push_back({.index = b,
                          .token = 0,
                          .position = batch.positions[static_cast<size_t>(end) - 1],
                          .cache_row = next,
                          .keys = end - begin});
    next += end - begin + max_new_tokens;
  }
}

std::span<const layers::LayerCache> Generator::caches_for(const int32_t* rows) {
  const int64_t width = model_.config().key_value_width();
  caches_.clear();
  for (const core::Buffer& buffer : cache_) {
    caches_.push_back(
        {.keys_values = core::dense(buffer.data(), cache_rows_, width), .rows = rows});
  }
  return caches_;
}

void Generator::prefill(const Batch& batch, View hidden) {
  const Context context = model_.engine().context();
  const int64_t samples = batch.samples();
  layers::Packing packing = make_packing(batch, context.arena);
  int32_t* key_starts = context.arena.take_ints(samples);
  int32_t* cache_rows = context.arena.take_ints(batch.count());
  int32_t* last_rows = context.arena.take_ints(samples);
  for (int64_t b = 0; b < samples; ++b) {
    const Sequence& sequence = sequences_[static_cast<size_t>(b)];
    const int32_t begin = packing.starts[b];
    for (int32_t i = 0; i < sequence.keys; ++i) {
      cache_rows[begin + i] = sequence.cache_row + i;
    }
    key_starts[b] = sequence.cache_row;
    last_rows[b] = packing.starts[b + 1] - 1;
  }
  packing.key_starts = key_starts;
  const layers::Selection selection =
      make_selection(batch, {last_rows, static_cast<size_t>(samples)}, context.arena);
  OpenUnits units(model_);
  const DecoderRun run{.packing = packing,
                       .selection = &selection,
                       .caches = caches_for(cache_rows),
                       .keep = layers::Keep::kNothing,
                       .order = &units};
  const Inputs inputs = make_inputs(model_, batch, false);
  decoder_forward(context, model_.config(), model_.weights().layers, run, hidden, inputs.x, {});
}

void Generator::decode(View hidden) {
  const Context context = model_.engine().context();
  const int64_t count = hidden.rows;
  int32_t* tokens = context.arena.take_ints(count);
  int32_t* positions = context.arena.take_ints(count);
  int32_t* starts = context.arena.take_ints(count + 1);
  int32_t* key_starts = context.arena.take_ints(count);
  int32_t* key_counts = context.arena.take_ints(count);
  int32_t* cache_rows = context.arena.take_ints(count);
  starts[0] = 0;
  for (int64_t i = 0; i < count; ++i) {
    Sequence& sequence = sequences_[static_cast<size_t>(i)];
    tokens[i] = sequence.token;
    positions[i] = ++sequence.position;
    cache_rows[i] = sequence.cache_row + sequence.keys;
    key_starts[i] = sequence.cache_row;
    key_counts[i] = ++sequence.keys;
    starts[i + 1] = static_cast<int32_t>(i + 1);
  }
  OpenUnits units(model_);
  const DecoderRun run{.packing = {.samples = count,
                                   .tokens = count,
                                   .starts = starts,
                                   .key_starts = key_starts,
                                   .key_counts = key_counts,
                                   .positions = positions,
                                   .visible = nullptr},
                       .selection = nullptr,
                       .caches = caches_for(cache_rows),
                       .keep = layers::Keep::kNothing,
                       .order = &units};
  units.reach(Pass::kForward, model_.table().unit_of(LLV_UNIT_EMBED));
  layers::embedding_forward(context, hidden, model_.weights().embed, tokens);
  decoder_forward(context, model_.config(), model_.weights().layers, run, hidden, hidden, {});
}

void Generator::advance(View hidden, int64_t step, Sampler& sampler, const Outputs& outputs) {
  const Context context = model_.engine().context();
  const llv_model_config& c = model_.config().get();
  const View logits = context.arena.take(hidden.rows, c.vocabulary);  // [A, V]
  model_.open_unit(model_.table().unit_of(LLV_UNIT_HEAD));
  layers::logits_forward(context, c.norm_eps, model_.weights().head, logits, hidden);
  size_t kept = 0;
  for (size_t i = 0; i < sequences_.size(); ++i) {
    Sequence sequence = sequences_[i];
    const std::span<const float> row(logits.row(static_cast<int64_t>(i)),
                                     static_cast<size_t>(c.vocabulary));
    sequence.token = sampler.draw(row, sequence.index, step);
    outputs.tokens[static_cast<size_t>(sequence.index * outputs.row + step)] = sequence.token;
    outputs.lengths[static_cast<size_t>(sequence.index)] = static_cast<int32_t>(step + 1);
    if (outputs.callback && outputs.callback(sequence.index, sequence.token)) {
      fail(LLV_CANCELLED, "the callback stopped at token %lld of sequence %d",
           static_cast<long long>(step), sequence.index);
    }
    const bool stopped =
        std::ranges::find(outputs.stop_tokens, sequence.token) != outputs.stop_tokens.end();
    if (!stopped && step + 1 < outputs.row) {
      sequences_[kept++] = sequence;
    }
  }
  sequences_.resize(kept);
}

}  // namespace llavasharp::model
