// Cases of the kernels that are bound by memory. Validation runs an activation kernel once on fresh
// data, so that kernels that work in place can be checked.
#pragma once

#include "bench/bench_case.h"

namespace llavasharp::bench {

using backend::Activation;
using backend::cpu_kernels;

inline double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

inline double inverse_rms(const Data& x, int64_t row) {
  double sum = 0.0;
  for (int64_t col = 0; col < x.cols; ++col) {
    sum += x(row, col) * x(row, col);
  }
  return 1.0 / std::sqrt(sum / static_cast<double>(x.cols) + 1e-5);
}

inline Case rms_norm(int64_t rows, int64_t cols) {
  auto x = data(rows, cols);
  auto w = data(1, cols, 2);
  auto y = data(rows, cols);
  auto inverse = std::make_shared<std::vector<float>>(static_cast<size_t>(rows));
  return {.run =
              [=] {
                cpu_kernels().rms_norm_forward(y->view(), x->view(), w->view(), 1e-5F,
                                               inverse->data());
              },
          .error =
              [=] {
                return relative_error(*y, [&](int64_t row, int64_t col) {
                  return (*x)(row, col) * inverse_rms(*x, row) * (*w)(0, col);
                });
              }};
}

inline Case rms_norm_backward(int64_t rows, int64_t cols) {
  auto x = data(rows, cols);
  auto w = data(1, cols, 2);
  auto dy = data(rows, cols, 3);
  auto dx = data(rows, cols);
  auto inverse = std::make_shared<std::vector<float>>();
  for (int64_t row = 0; row < rows; ++row) {
    inverse->push_back(static_cast<float>(inverse_rms(*x, row)));
  }
  const auto reference = [=](int64_t row, int64_t col) {
    const double r = inverse_rms(*x, row);
    double dot = 0.0;
    for (int64_t i = 0; i < cols; ++i) {
      dot += (*dy)(row, i) * (*w)(0, i) * (*x)(row, i);
    }
    return r * (*dy)(row, col) * (*w)(0, col) -
           (*x)(row, col) * r * r * r * dot / static_cast<double>(cols);
  };
  return {.run =
              [=] {
                cpu_kernels().rms_norm_backward(dx->view(), false, View{}, dy->view(), x->view(),
                                                w->view(), inverse->data());
              },
          .error = [=] { return relative_error(*dx, reference); }};
}

inline Case layer_norm(int64_t rows, int64_t cols) {
  auto x = data(rows, cols);
  auto w = data(1, cols, 2);
  auto b = data(1, cols, 3);
  auto y = data(rows, cols);
  const auto reference = [=](int64_t row, int64_t col) {
    double mean = 0.0;
    double variance = 0.0;
    for (int64_t i = 0; i < cols; ++i) {
      mean += (*x)(row, i) / static_cast<double>(cols);
    }
    for (int64_t i = 0; i < cols; ++i) {
      variance += ((*x)(row, i) - mean) * ((*x)(row, i) - mean) / static_cast<double>(cols);
    }
    return ((*x)(row, col) - mean) / std::sqrt(variance + 1e-5) * (*w)(0, col) + (*b)(0, col);
  };
  return {.run =
              [=] {
                cpu_kernels().layer_norm_forward(y->view(), x->view(), w->view(), b->view(), 1e-5F);
              },
          .error = [=] { return relative_error(*y, reference); }};
}

inline Case swiglu(int64_t rows, int64_t cols) {
  auto x = data(rows, 2 * cols);
  auto y = data(rows, cols);
  return {.run = [=] { cpu_kernels().swiglu_forward(y->view(), x->view()); },
          .error =
              [=] {
                return relative_error(*y, [&](int64_t row, int64_t col) {
                  const double gate = (*x)(row, col);
                  return gate * sigmoid(gate) * (*x)(row, cols + col);
                });
              }};
}

inline Case swiglu_backward(int64_t rows, int64_t cols) {
  auto x = data(rows, 2 * cols);
  auto dy = data(rows, cols, 2);
  auto dx = data(rows, 2 * cols);
  return {.run = [=] { cpu_kernels().swiglu_backward(dx->view(), View{}, dy->view(), x->view()); },
          .error =
              [=] {
                return relative_error(*dx, [&](int64_t row, int64_t col) {
                  const double g = (*x)(row, col % cols);
                  const double s = sigmoid(g);
                  const double d = (*dy)(row, col % cols);
                  return col < cols ? d * (*x)(row, cols + col) * s * (1.0 + g * (1.0 - s))
                                    : d * g * s;
                });
              }};
}

inline Case activation(int64_t rows, int64_t cols, Activation kind) {
  auto x = data(rows, cols);
  auto b = data(1, cols, 2);
  auto y = data(rows, cols);
  auto pre = data(rows, cols);
  const auto reference = [=](int64_t row, int64_t col) {
    const double at = (*x)(row, col) + (*b)(0, col);
    return kind == Activation::kGelu ? 0.5 * at * std::erfc(-at / std::sqrt(2.0))
                                     : at * sigmoid(1.702 * at);
  };
  return {.run =
              [=] {
                cpu_kernels().bias_activation_forward(y->view(), pre->view(), x->view(), b->view(),
                                                      kind);
              },
          .error = [=] { return relative_error(*y, reference); }};
}

// The rotation's norm is what is checked: the definition is in the tests.
inline Case rope(int64_t rows, int32_t heads, int32_t head_dim) {
  auto x = data(rows, int64_t{heads} * head_dim);
  auto kept = data(rows, int64_t{heads} * head_dim);
  auto positions = std::make_shared<std::vector<int32_t>>();
  for (int64_t row = 0; row < rows; ++row) {
    positions->push_back(static_cast<int32_t>(row));
  }
  auto frequencies = std::make_shared<std::vector<float>>();  // [head_dim/2]
  for (int32_t i = 0; i < head_dim / 2; ++i) {
    frequencies->push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / head_dim)));
  }
  const auto reference = [=](int64_t row, int64_t col) {
    const int64_t half = head_dim / 2;
    const int64_t i = col % half;
    const int64_t head = col / head_dim * head_dim;
    const double frequency = (*frequencies)[static_cast<size_t>(i)];
    const double angle =
        static_cast<double>(static_cast<float>(static_cast<double>(row) * frequency));
    const double a = (*kept)(row, head + i);
    const double b = (*kept)(row, head + half + i);
    return col % head_dim < half ? a * std::cos(angle) - b * std::sin(angle)
                                 : b * std::cos(angle) + a * std::sin(angle);
  };
  return {.run =
              [=] {
                cpu_kernels().rope(x->view(), positions->data(), frequencies->data(), heads,
                                   head_dim, false);
              },
          .error = [=] { return relative_error(*x, reference); }};
}

inline Case cross_entropy(int64_t rows, int64_t cols) {
  auto x = data(rows, cols);
  auto kept = data(rows, cols);
  auto targets = std::make_shared<std::vector<int32_t>>();
  auto loss = std::make_shared<std::vector<double>>(static_cast<size_t>(rows));
  auto log_sum = std::make_shared<std::vector<double>>();
  for (int64_t row = 0; row < rows; ++row) {
    targets->push_back(static_cast<int32_t>(row % cols));
    double sum = 0.0;
    for (int64_t col = 0; col < cols; ++col) {
      sum += std::exp((*x)(row, col));
    }
    log_sum->push_back(std::log(sum));
  }
  const auto reference = [=](int64_t row, int64_t col) {
    return std::exp((*kept)(row, col) - (*log_sum)[static_cast<size_t>(row)]) -
           (col == (*targets)[static_cast<size_t>(row)] ? 1.0 : 0.0);
  };
  return {.run =
              [=] {
                cpu_kernels().cross_entropy(x->view(), targets->data(), loss->data(), 1.0F, true);
              },
          .error = [=] { return relative_error(*x, reference); }};
}

inline Case column_sum(int64_t rows, int64_t cols) {
  auto dy = data(rows, cols);
  auto sum = data(1, cols);
  auto kept = data(1, cols);
  return {.run = [=] { cpu_kernels().column_sum(sum->view(), dy->view()); },
          .error =
              [=] {
                return relative_error(*sum, [&](int64_t, int64_t col) {
                  double total = (*kept)(0, col);
                  for (int64_t row = 0; row < rows; ++row) {
                    total += (*dy)(row, col);
                  }
                  return total;
                });
              }};
}

inline Case add(int64_t rows, int64_t cols) {
  auto y = data(rows, cols);
  auto kept = data(rows, cols);
  auto x = data(rows, cols, 2);
  return {.run = [=] { cpu_kernels().add(y->view(), x->view()); },
          .error =
              [=] {
                return relative_error(*y, [&](int64_t row, int64_t col) {
                  return (*kept)(row, col) + (*x)(row, col);
                });
              }};
}

inline Case adamw(int64_t count) {
  auto weight = data(1, count);
  auto kept = data(1, count);
  auto gradient = data(1, count, 2);
  auto m = data(1, count);
  auto v = data(1, count);
  std::fill(m->values.begin(), m->values.end(), 0.0F);
  std::fill(v->values.begin(), v->values.end(), 0.0F);
  const backend::AdamWStep step{.learning_rate = 1e-3,
                                .beta1 = 0.9,
                                .beta2 = 0.999,
                                .eps = 1e-8,
                                .weight_decay = 0.0,
                                .bias_correction1 = 0.1,
                                .bias_correction2 = 0.001,
                                .gradient_scale = 1.0};
  const auto reference = [=](int64_t, int64_t col) {  // The first step: m/√v is the sign.
    const double g = (*gradient)(0, col);
    return (*kept)(0, col) - 1e-3 * g / (std::abs(g) + 1e-8);
  };
  return {.run =
              [=] {
                cpu_kernels().adamw(weight->values.data(), gradient->values.data(),
                                    m->values.data(), v->values.data(), count, step);
              },
          .error = [=] { return relative_error(*weight, reference); }};
}

}  // namespace llavasharp::bench
