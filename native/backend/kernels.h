// The table of fused kernels that a backend provides. backend/cpu is the reference that others must
// match within a tolerance computed from dtype and reduction length.
//
// Rules: forward outputs and activation gradients are overwritten; parameter gradients are
// accumulated (+=). Every reduction has a fixed order that does not depend on the thread count.
// Views are float32.
#pragma once

#include <cstdint>

#include "backend/quantization.h"
#include "core/view.h"

namespace llavasharp::backend {

using core::View;

// Who attends to whom, over packed samples. Query row i of sample b sees its sample's first
// q_visible[i] keys.
struct AttentionShape {
  int64_t samples = 0;               // B
  const int32_t* q_start = nullptr;  // [B+1] query rows of sample b: q_start[b] … q_start[b+1].
  const int32_t* k_start = nullptr;  // [B] first key row.
  const int32_t* k_count = nullptr;  // [B] key rows.
  const int32_t* q_visible =
      nullptr;  // [query rows] keys seen, rising within a sample; null: all of them.
  int32_t heads = 0;
  int32_t kv_heads = 0;  // Divides heads: query head h reads key head h / (heads / kv_heads).
  int32_t head_dim = 0;
  float scale = 0.0F;  // On q·k, usually 1/√head_dim.
};

// Doubles, because 1 - beta2 in float32 would be off by 1e-5.
struct AdamWStep {
  double learning_rate, beta1, beta2, eps, weight_decay;
  double bias_correction1, bias_correction2;  // 1 - beta^t.
  double gradient_scale;                      // Clipping coefficient.
};

// One key from three: what a counter-based generator is keyed by.
[[nodiscard]] uint64_t mix_keys(uint64_t a, uint64_t b, uint64_t c);

enum class Activation : int32_t { kQuickGelu = 0, kGelu = 1 };  // llv_activation

struct Kernels {
  const char* name;

  // y = x · w / rms(x) a row; inverse_rms [rows] is kept for backward. w is [1, cols].
  void (*rms_norm_forward)(View y, View x, View weight, float eps, float* inverse_rms);
  // dx (+)= …; dweight [1, cols] += … unless null. With accumulate_dx the residual stream's
  // gradient grows in place.
  void (*rms_norm_backward)(View dx, bool accumulate_dx, View dweight, View dy, View x, View weight,
                            const float* inverse_rms);
  // y = (x - mean) / √(var + eps) · w + b a row.
  void (*layer_norm_forward)(View y, View x, View weight, View bias, float eps);
  // dx += …, dweight and dbias [1, cols] += … unless null; statistics [2, rows] is scratch.
  void (*layer_norm_backward)(View dx, View dweight, View dbias, View dy, View x, View weight,
                              float eps, View statistics);
  // Rotates pairs (i, i + head_dim/2) of each head in place by position · frequencies[i]
  // (frequencies [head_dim/2], a host array); inverse for backward.
  void (*rope)(View x, const int32_t* positions, const float* frequencies, int32_t heads,
               int32_t head_dim, bool inverse);
  // out [q rows, heads·head_dim]; log_sum_exp [q rows, heads] is kept for backward (may be empty
  // without one).
  void (*attention_forward)(View out, View log_sum_exp, View q, View k, View v,
                            const AttentionShape& shape);
  // dq, dk, dv overwritten on the rows that shape names (dk and dv of unseen keys become 0).
  void (*attention_backward)(View dq, View dk, View dv, View dout, View out, View log_sum_exp,
                             View q, View k, View v, const AttentionShape& shape);
  // y [rows, n] = silu(gate) · up, where gate_up is [rows, 2n] = gate beside up.
  void (*swiglu_forward)(View y, View gate_up);
  // dgate_up [rows, 2n] from dy; may be the same memory as gate_up. Forward's y once more unless
  // empty; may be the same memory as dy.
  void (*swiglu_backward)(View dgate_up, View y, View dy, View gate_up);
  // x += bias a row, in place; bias [1, cols].
  void (*add_bias)(View x, View bias);
  // pre = x + bias (kept for backward if not empty), y = activation(pre); y may be x's memory.
  void (*bias_activation_forward)(View y, View pre, View x, View bias, Activation activation);
  // dx = dy · activation'(pre); dx may be dy's memory.
  void (*activation_backward)(View dx, View dy, View pre, Activation activation);
  // dbias [1, cols] += column sums of dy.
  void (*column_sum)(View dbias, View dy);
  // y = or += x with each element dropped with `probability` and the others divided by what is
  // kept; which ones is a pure function of (key, row, column). y may be x's memory.
  void (*dropout)(View y, View x, uint64_t key, float probability, bool accumulate);
  // x *= factor.
  void (*scale)(View x, float factor);
  // y = or += x with each column times its factor; factors [1, cols]. y may be x's memory.
  void (*scale_columns)(View y, View x, View factors, bool accumulate);
  // y [1, rows] = or += factor · the sum of a · b over each row.
  void (*row_dot)(View y, View a, View b, float factor, bool accumulate);
  // y [1, cols] += factors · the sum of a · b over each column; factors [1, cols].
  void (*column_dot)(View y, View a, View b, View factors);
  // What columns of these squared lengths are scaled by to have those magnitudes: out [3, cols] =
  // magnitude / length, that - 1, and 1 / length; for a length of 0: 0, -1 and 0.
  void (*gains)(View out, View magnitude, View squares);
  // y = x, y += x.
  void (*copy)(View y, View x);
  void (*add)(View y, View x);
  // y[i] = x[rows[i]];  y[rows[i]] = x[i] or += (rows < 0 are skipped; duplicate rows add in order
  // of i).
  void (*gather_rows)(View y, View x, const int32_t* rows);
  void (*scatter_rows)(View y, View x, const int32_t* rows, bool accumulate);
  // Each row: returns log-sum-exp minus the target's logit in loss[row]; logits become
  // gradient_scale · (softmax - onehot) when want_gradient.
  void (*cross_entropy)(View logits, const int32_t* targets, double* loss, float gradient_scale,
                        bool want_gradient);
  // Patches of pixels [N,3,S,S] as rows [N·P, 3·p·p], in the order of a convolution's flattened
  // weight.
  void (*patches)(View out, const float* pixels, int64_t images, int32_t image_size,
                  int32_t patch_size);
  // Sum of squares in double, over fixed chunks.
  double (*sum_squares)(const float* x, int64_t count);
  // One decoupled-weight-decay Adam update (torch.optim.AdamW's arithmetic), in place.
  void (*adamw)(float* weight, float* gradient, float* m, float* v, int64_t count,
                const AdamWStep& step);
  // Converts host bytes of a dtype to float32, or fills with a constant.
  void (*convert)(float* out, const void* bytes, core::DType dtype, int64_t count);
  void (*fill)(View x, float value);
  // Weights in fewer bits (quantization.h) and back, where the result is what the codes mean,
  // exactly. Codes [⌈count / 2⌉] and scales [blocks] of x [count]; a scale is not finite where x is
  // not.
  void (*encode_four_bits)(uint8_t* codes, float* scales, const float* x, int64_t count,
                           FourBitLevels levels);
  void (*decode_four_bits)(float* y, const FourBits& from, int64_t count);
  // A byte an element, of which 127 means the row's largest magnitude (LLM.int8()): codes dense,
  // scales [rows].
  void (*encode_int8)(int8_t* codes, float* scales, View x);
  void (*decode_int8)(View y, const int8_t* codes, const float* scales);
  // The nearest bfloat16, to even where two are as near: as its bits, or as a float. y may be x.
  void (*narrow_bfloat16)(uint16_t* y, const float* x, int64_t count);
  void (*round_bfloat16)(float* y, const float* x, int64_t count);
};

// The CPU table (Highway, instruction set chosen at run time).
[[nodiscard]] const Kernels& cpu_kernels();
// The instruction set that it chose, such as "AVX3". The text is static.
[[nodiscard]] const char* cpu_simd_name();
// The table for a device; throws LLV_UNSUPPORTED naming the device when this build has none.
[[nodiscard]] const Kernels& kernels_for(int32_t device);

}  // namespace llavasharp::backend
