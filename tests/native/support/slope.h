// A parameter's gradient against central differences of a loss.
#pragma once

#include <functional>
#include <numeric>
#include <random>

#include "support/api.h"

namespace llavasharp::test {

inline double total_loss(const Model& model, const Batch& batch) {
  const std::vector<double> losses = losses_of(model, batch);
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

// The loss's derivative along `direction` at the parameter's present values, by Richardson's
// extrapolation of central differences.
inline double slope(const Model& model, const llv_parameter& row,
                    const std::vector<double>& direction, const std::function<double()>& loss) {
  const std::vector<float> kept = read(model, row);
  const auto central = [&](double h) {
    std::vector<float> moved = kept;
    const auto loss_at = [&](double step) {
      for (size_t i = 0; i < moved.size(); ++i) {
        moved[i] = static_cast<float>(kept[i] + step * direction[i]);
      }
      write(model, row, moved);
      return loss();
    };
    return (loss_at(h) - loss_at(-h)) / (2 * h);
  };
  constexpr double kStep = 0.02;
  const double result = (4 * central(kStep) - central(2 * kStep)) / 3;
  write(model, row, kept);
  return result;
}

// Along the gradient plus a random direction, both of length 1: sees errors of any direction.
inline void check_gradient(const Model& model, const llv_parameter& row,
                           const std::vector<float>& gradient,
                           const std::function<double()>& loss) {
  std::mt19937 random(11);
  std::normal_distribution<double> normal;
  std::vector<double> direction(gradient.size());
  double gradient_norm = 0;
  double random_norm = 0;
  for (size_t i = 0; i < gradient.size(); ++i) {
    direction[i] = normal(random);
    random_norm += direction[i] * direction[i];
    gradient_norm += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
  }
  gradient_norm = std::sqrt(gradient_norm);
  ASSERT_GT(gradient_norm, 1e-4) << row.name << " has no gradient";
  double expected = 0;
  for (size_t i = 0; i < gradient.size(); ++i) {
    direction[i] = direction[i] / std::sqrt(random_norm) + gradient[i] / gradient_norm;
    expected += direction[i] * gradient[i];
  }
  // Float32 losses of about 40 leave about 4e-6 / 0.02 of noise in a slope.
  EXPECT_NEAR(slope(model, row, direction, loss), expected, 2e-3 * gradient_norm + 1e-3)
      << row.name;
}

}  // namespace llavasharp::test
