// The CPU kernels, one family a file; kernels.cpp puts them in the table. ../kernels.h says what
// each computes.
#pragma once

#include "backend/kernels.h"

namespace llavasharp::backend::cpu {

// simd_name.cpp
[[nodiscard]] const char* simd_name();
// norms.cpp
void rms_norm_forward(View y, View x, View weight, float eps, float* inverse_rms);
void rms_norm_backward(View dx, bool accumulate_dx, View dweight, View dy, View x, View weight,
                       const float* inverse_rms);
void layer_norm_forward(View y, View x, View weight, View bias, float eps);
void layer_norm_backward(View dx, View dweight, View dbias, View dy, View x, View weight, float eps,
                         View statistics);
// rope.cpp
void rope(View x, const int32_t* positions, const float* frequencies, int32_t heads,
          int32_t head_dim, bool inverse);
// attention.cpp
void attention_forward(View out, View log_sum_exp, View q, View k, View v,
                       const AttentionShape& shape);
void attention_backward(View dq, View dk, View dv, View dout, View out, View log_sum_exp, View q,
                        View k, View v, const AttentionShape& shape);
// swiglu.cpp
void swiglu_forward(View y, View gate_up);
void swiglu_backward(View dgate_up, View y, View dy, View gate_up);
// activation.cpp
void bias_activation_forward(View y, View pre, View x, View bias, Activation activation);
void activation_backward(View dx, View dy, View pre, Activation activation);
// dropout.cpp
void dropout(View y, View x, uint64_t key, float probability, bool accumulate);
// rows.cpp
void scale(View x, float factor);
void add_bias(View x, View bias);
void column_sum(View dbias, View dy);
void copy(View y, View x);
void add(View y, View x);
void fill(View x, float value);
// gains.cpp
void scale_columns(View y, View x, View factors, bool accumulate);
void row_dot(View y, View a, View b, float factor, bool accumulate);
void column_dot(View y, View a, View b, View factors);
void gains(View out, View magnitude, View squares);
// gather.cpp
void gather_rows(View y, View x, const int32_t* rows);
void scatter_rows(View y, View x, const int32_t* rows, bool accumulate);
// cross_entropy.cpp
void cross_entropy(View logits, const int32_t* targets, double* loss, float gradient_scale,
                   bool want_gradient);
// patches.cpp
void patches(View out, const float* pixels, int64_t images, int32_t image_size, int32_t patch_size);
// adamw.cpp
double sum_squares(const float* x, int64_t count);
void adamw(float* weight, float* gradient, float* m, float* v, int64_t count,
           const AdamWStep& step);
// convert.cpp
void convert(float* out, const void* bytes, core::DType dtype, int64_t count);
// quantize.cpp
void encode_four_bits(uint8_t* codes, float* scales, const float* x, int64_t count,
                      FourBitLevels levels);
void decode_four_bits(float* y, const FourBits& from, int64_t count);
void encode_int8(int8_t* codes, float* scales, View x);
void decode_int8(View y, const int8_t* codes, const float* scales);
void narrow_bfloat16(uint16_t* y, const float* x, int64_t count);
void round_bfloat16(float* y, const float* x, int64_t count);

}  // namespace llavasharp::backend::cpu
