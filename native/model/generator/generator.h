// Continues prompts: one packed prefill, then steps that decode all unfinished sequences at once
// against a key-value cache.
//
// Letters: B prompts, A unfinished sequences, D hidden, V vocabulary, M = max_new_tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/memory.h"
#include "layers/attention.h"
#include "model/batch.h"
#include "model/decoder.h"
#include "model/generator/sampler.h"
#include "model/llava.h"

namespace llavasharp::model {

// Gets each token of a sequence, in order; true stops the run.
using TokenCallback = std::function<bool(int32_t sequence, int32_t token)>;

// The model must outlive it. Keeps its cache between runs.
class Generator {
 public:
  explicit Generator(Llava& model) : model_(model) {}

  // tokens [B, M], lengths [B]: llv_generator_run. Throws LLV_CANCELLED when the callback stops it.
  void run(const Batch& batch, const Sampling& sampling, std::span<const int32_t> stop_tokens,
           std::span<int32_t> tokens, std::span<int32_t> lengths, const TokenCallback& callback);

 private:
  // A sequence that is still growing.
  struct Sequence {
    int32_t index;      // b
    int32_t token;      // Its last token, not yet in the cache.
    int32_t position;   // That token's rotary position.
    int32_t cache_row;  // Its first row in the cache.
    int32_t keys;       // Rows of it in the cache.
  };
  struct Outputs;

  void reserve_cache(int64_t rows);
  void start(const Batch& batch, int32_t max_new_tokens);
  // Both write hidden [A, D], the last hidden state of each sequence.
  void prefill(const Batch& batch, View hidden);
  void decode(View hidden);
  // Draws a token for each sequence and drops those that are done.
  void advance(View hidden, int64_t step, Sampler& sampler, const Outputs& outputs);
  [[nodiscard]] std::span<const layers::LayerCache> caches_for(const int32_t* rows);

  Llava& model_;
  std::vector<core::Buffer> cache_;  // [rows, 2K·d] a layer.
  int64_t cache_rows_ = 0;
  std::vector<layers::LayerCache> caches_;
  std::vector<Sequence> sequences_;
};

}  // namespace llavasharp::model
