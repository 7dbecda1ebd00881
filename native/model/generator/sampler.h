// Draws a token from a row of logits: greedy, or temperature with top-k and nucleus filters.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace llavasharp::model {

struct Sampling {
  double temperature = 0;  // 0 = greedy.
  double top_p = 1;        // 0 < p ≤ 1
  int32_t top_k = 0;       // 0 = all.
  int32_t max_new_tokens = 512;
  int64_t seed = 0;
};

// Throws LLV_INVALID with the value that is out of range.
void check_sampling(const Sampling& sampling);

// Token `step` of sequence `sequence` is a pure function of the logits, the sampling and these.
class Sampler {
 public:
  explicit Sampler(const Sampling& sampling);
  // Throws LLV_NUMERIC when the logits are not numbers.
  [[nodiscard]] int32_t draw(std::span<const float> logits, int64_t sequence, int64_t step);

 private:
  // Keeps the top_k highest logits of order_, and sorts them, highest first.
  void keep_top_k(std::span<const float> logits);
  // Turns order_'s logits into weights_; returns their sum.
  double weigh(std::span<const float> logits);

  Sampling sampling_;
  uint64_t key_;
  std::vector<int32_t> order_;   // Candidate ids; ties by lower id.
  std::vector<double> weights_;  // Their unnormalised probabilities.
};

}  // namespace llavasharp::model
