#include "model/random.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "core/parallel.h"

namespace llavasharp::model {
namespace {

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15ULL;
constexpr int64_t kGrain = 1 << 14;

uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31U);
}

// ln(x) for x > 0, from exactly rounded operations alone: libm's logarithm differs between systems.
double portable_log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // In [0.5, 1).
  if (mantissa < std::numbers::sqrt2 / 2) {
    mantissa *= 2;
    --exponent;
  }
  // ln(m) = 2 artanh(s), s = (m-1)/(m+1), |s| ≤ 0.172: thirteen terms reach double precision.
  const double s = (mantissa - 1) / (mantissa + 1);
  const double square = s * s;
  double sum = 0;
  for (int term = 25; term >= 1; term -= 2) {
    sum = sum * square + 1.0 / term;
  }
  return 2 * s * sum + exponent * std::numbers::ln2;
}

std::pair<double, double> normal_pair(uint64_t key, uint64_t pair) {
  for (uint64_t index = pair << 20U;; index += 2) {
    const double x = 2 * random_unit(key, index) - 1;
    const double y = 2 * random_unit(key, index + 1) - 1;
    const double radius = x * x + y * y;
    if (radius > 0 && radius < 1) {
      const double factor = std::sqrt(-2 * portable_log(radius) / radius);
      return {x * factor, y * factor};
    }
  }
}

}  // namespace

uint64_t stream_key(int64_t seed, std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  }
  return mix(static_cast<uint64_t>(seed) + kGolden) ^ mix(hash);
}

uint64_t random_bits(uint64_t key, uint64_t index) {
  return mix(key + (index + 1) * kGolden);
}

double random_unit(uint64_t key, uint64_t index) {
  return static_cast<double>(random_bits(key, index) >> 11U) * 0x1.0p-53;
}

void fill_uniform(std::span<float> values, uint64_t key, double low, double high) {
  const auto count = static_cast<int64_t>(values.size());
  core::parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double unit = random_unit(key, static_cast<uint64_t>(i));
      values[static_cast<size_t>(i)] = static_cast<float>(low + (high - low) * unit);
    }
  });
}

void fill_normal(std::span<float> values, uint64_t key, double mean, double deviation) {
  const auto count = static_cast<int64_t>(values.size());
  core::parallel_for((count + 1) / 2, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t pair = begin; pair < end; ++pair) {
      const auto [first, second] = normal_pair(key, static_cast<uint64_t>(pair));
      const auto at = static_cast<size_t>(2 * pair);
      values[at] = static_cast<float>(mean + deviation * first);
      if (at + 1 < values.size()) {
        values[at + 1] = static_cast<float>(mean + deviation * second);
      }
    }
  });
}

}  // namespace llavasharp::model
