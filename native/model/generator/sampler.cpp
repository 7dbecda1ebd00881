#include "model/generator/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "model/random.h"

namespace llavasharp::model {

using core::fail;

void check_sampling(const Sampling& sampling) {
  if (!std::isfinite(sampling.temperature) || sampling.temperature < 0) {
    fail(LLV_INVALID, "temperature is %g: must be 0 or more, and finite", sampling.temperature);
  }
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    fail(LLV_INVALID, "top_p is %g: must be above 0 and at most 1", sampling.top_p);
  }
  if (sampling.top_k < 0) {
    fail(LLV_INVALID, "top_k is %d: must be 0 (all) or more", sampling.top_k);
  }
  if (sampling.max_new_tokens < 1) {
    fail(LLV_INVALID, "max_new_tokens is %d: must be 1 or more", sampling.max_new_tokens);
  }
}

Sampler::Sampler(const Sampling& sampling)
    : sampling_(sampling), key_(stream_key(sampling.seed, "generator")) {}

int32_t Sampler::draw(std::span<const float> logits, int64_t sequence, int64_t step) {
  const auto highest = std::ranges::max_element(logits);  // The first among equals.
  const bool broken = std::ranges::any_of(logits, [](float x) { return std::isnan(x); });
  if (broken || !std::isfinite(*highest)) {
    fail(LLV_NUMERIC, "a logit of token %lld of sequence %lld is not finite",
         static_cast<long long>(step), static_cast<long long>(sequence));
  }
  if (sampling_.temperature == 0) {
    return static_cast<int32_t>(highest - logits.begin());
  }
  order_.resize(logits.size());
  std::iota(order_.begin(), order_.end(), 0);
  keep_top_k(logits);
  const double sum = weigh(logits);
  // The nucleus: the fewest candidates, highest first, that hold top_p of the probability.
  double kept = sum;
  size_t count = order_.size();
  if (sampling_.top_p < 1) {
    kept = 0;
    for (count = 0; count < order_.size() && kept < sampling_.top_p * sum; ++count) {
      kept += weights_[count];
    }
  }
  const uint64_t index = (static_cast<uint64_t>(sequence) << 32U) + static_cast<uint64_t>(step);
  double rest = random_unit(key_, index) * kept;
  for (size_t i = 0; i < count; ++i) {
    rest -= weights_[i];
    if (rest < 0) {
      return order_[i];
    }
  }
  return order_[count - 1];  // Rounding left a crumb.
}

void Sampler::keep_top_k(std::span<const float> logits) {
  const auto by_logit = [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)];
    const float y = logits[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  };
  const auto k = static_cast<size_t>(sampling_.top_k);
  if (k > 0 && k < order_.size()) {
    std::ranges::nth_element(order_, order_.begin() + sampling_.top_k, by_logit);
    order_.resize(k);
  } else if (sampling_.top_p == 1) {
    return;  // All candidates: their order does not matter.
  }
  std::ranges::sort(order_, by_logit);
}

double Sampler::weigh(std::span<const float> logits) {
  double highest = -INFINITY;
  for (const int32_t id : order_) {
    highest = std::max(highest, static_cast<double>(logits[static_cast<size_t>(id)]));
  }
  weights_.resize(order_.size());
  double sum = 0;
  for (size_t i = 0; i < order_.size(); ++i) {
    const double logit = logits[static_cast<size_t>(order_[i])];
    weights_[i] = std::exp((logit - highest) / sampling_.temperature);
    sum += weights_[i];
  }
  return sum;
}

}  // namespace llavasharp::model
