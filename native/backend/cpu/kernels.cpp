// The CPU backend's table.
#include "backend/kernels.h"

#include "backend/cpu/cpu_kernels.h"

namespace llavasharp::backend {

const Kernels& cpu_kernels() {
  static constexpr Kernels kTable{
      .name = "cpu",
      .rms_norm_forward = cpu::rms_norm_forward,
      .rms_norm_backward = cpu::rms_norm_backward,
      .layer_norm_forward = cpu::layer_norm_forward,
      .layer_norm_backward = cpu::layer_norm_backward,
      .rope = cpu::rope,
      .attention_forward = cpu::attention_forward,
      .attention_backward = cpu::attention_backward,
      .swiglu_forward = cpu::swiglu_forward,
      .swiglu_backward = cpu::swiglu_backward,
      .add_bias = cpu::add_bias,
      .bias_activation_forward = cpu::bias_activation_forward,
      .activation_backward = cpu::activation_backward,
      .column_sum = cpu::column_sum,
      .dropout = cpu::dropout,
      .scale = cpu::scale,
      .scale_columns = cpu::scale_columns,
      .row_dot = cpu::row_dot,
      .column_dot = cpu::column_dot,
      .gains = cpu::gains,
      .copy = cpu::copy,
      .add = cpu::add,
      .gather_rows = cpu::gather_rows,
      .scatter_rows = cpu::scatter_rows,
      .cross_entropy = cpu::cross_entropy,
      .patches = cpu::patches,
      .sum_squares = cpu::sum_squares,
      .adamw = cpu::adamw,
      .convert = cpu::convert,
      .fill = cpu::fill,
      .encode_four_bits = cpu::encode_four_bits,
      .decode_four_bits = cpu::decode_four_bits,
      .encode_int8 = cpu::encode_int8,
      .decode_int8 = cpu::decode_int8,
      .narrow_bfloat16 = cpu::narrow_bfloat16,
      .round_bfloat16 = cpu::round_bfloat16,
  };
  return kTable;
}

const char* cpu_simd_name() {
  return cpu::simd_name();
}

}  // namespace llavasharp::backend
