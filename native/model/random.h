// Counter-based randomness: value i of a stream is a pure function of (key, i), so that order,
// threads and machine do not matter.
//
// A stream's bits are SplitMix64's (Steele, Lea and Flood 2014): its finaliser over
// key + (i + 1) · 0x9E3779B97F4A7C15. Only operations that IEEE 754 rounds exactly are used, so
// every machine gets the same floats.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace llavasharp::model {

// Key of a stream: the seed mixed with the FNV-1a hash of a name.
[[nodiscard]] uint64_t stream_key(int64_t seed, std::string_view name);

// 64 random bits.
[[nodiscard]] uint64_t random_bits(uint64_t key, uint64_t index);

// In [0, 1): the top 53 bits.
[[nodiscard]] double random_unit(uint64_t key, uint64_t index);

// values[i] = low + (high - low) · unit(i).
void fill_uniform(std::span<float> values, uint64_t key, double low, double high);

// Normal values, two a pair of uniforms by Marsaglia's polar method; pair j tries the counters
// j · 2^20, j · 2^20 + 1, … two at a time until one falls inside the circle.
void fill_normal(std::span<float> values, uint64_t key, double mean, double deviation);

}  // namespace llavasharp::model
