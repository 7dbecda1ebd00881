#include "layers/adapted.h"

#include "layers/linear.h"

namespace llavasharp::layers {
namespace {

using core::Accumulate;

// Rows of the gains.
View gain_of(View gains) {
  return gains.row_range(0, 1);
}
View gain_less_one_of(View gains) {
  return gains.row_range(1, 1);
}
View inverse_length_of(View gains) {
  return gains.row_range(2, 1);
}

void part_gains(Context context, View weight, View a, const LoraPart& part, View gains) {
  const Scratch scratch(context.arena);
  const View products = context.arena.take(weight.rows, a.rows);  // [out, r]
  const View square = context.arena.take(a.rows, a.rows);         // [r, r]
  const View lengths = context.arena.take(1, weight.rows);        // [1, out], squared
  core::matmul_nt(products, weight, a);
  context.kernels.scale(products, 2.0F);
  core::matmul_nt(square, a, a);
  context.kernels.scale(square, part.scale);
  core::matmul_nn(products, part.b, square, Accumulate::kYes);
  context.kernels.row_dot(lengths, weight, weight, 1.0F, false);
  context.kernels.row_dot(lengths, products, part.b, part.scale, true);
  context.kernels.gains(gains, part.magnitude, lengths);
}

void decomposed_forward(Context context, View weight, const LoraGroup& group, Site site, View y,
                        View x, const AdaptedSaved& saved, Accumulate accumulate) {
  const Scratch scratch(context.arena);
  adapted_gains(context, weight, group, saved.gains);
  const View input = lora_input(context, group, site, x);
  lora_down(context, group, saved.u, input);
  core::matmul_nt(saved.product, input, weight);
  lora_up(group, saved.product, saved.u);
  if (y.empty()) {
    return;
  }
  if (!lora_drops(context, group)) {
    context.kernels.scale_columns(y, saved.product, gain_of(saved.gains),
                                  accumulate == Accumulate::kYes);
    return;
  }
  core::matmul_nt(y, x, weight, accumulate);
  lora_up(group, y, saved.u);
  context.kernels.scale_columns(y, saved.product, gain_less_one_of(saved.gains), true);
}

// d magnitude += the column sums of dy ⊙ p, over the length.
void magnitudes_backward(Context context, const LoraGroup& group, const LoraGroup& gradients,
                         View dy, const AdaptedSaved& saved) {
  for (int32_t i = 0; i < group.count; ++i) {
    const LoraPart& part = group.parts.at(static_cast<size_t>(i));
    const View& dmagnitude = gradients.parts.at(static_cast<size_t>(i)).magnitude;
    if (!dmagnitude.empty()) {
      const auto columns = [&](View view) { return view.col_range(part.out_begin, part.b.rows); };
      context.kernels.column_dot(dmagnitude, columns(dy), columns(saved.product),
                                 columns(inverse_length_of(saved.gains)));
    }
  }
}

// Fills in du, too.
void decomposed_backward(Context context, View weight, const LoraGroup& group,
                         const LoraGroup& gradients, Site site, View dx, View dy, View du,
                         const AdaptedSaved& saved) {
  magnitudes_backward(context, group, gradients, dy, saved);
  const Scratch scratch(context.arena);
  const View scaled = context.arena.take(dy.rows, dy.cols);  // [n, out]
  if (!lora_drops(context, group)) {
    context.kernels.scale_columns(scaled, dy, gain_of(saved.gains), false);  // Of p.
    linear_backward_input(dx, scaled, weight);
    lora_up_backward(context, group, gradients, du, scaled, saved.u);
    lora_down_backward(context, group, site, dx, du);
    return;
  }
  // The base's share of p goes through the mask, which lora_down_backward puts over what it adds.
  const View dinput = context.arena.take(dx.rows, dx.cols);  // [n, in]
  context.kernels.scale_columns(scaled, dy, gain_less_one_of(saved.gains), false);
  linear_backward_input(dx, dy, weight);
  linear_backward_input(dinput, scaled, weight);
  context.kernels.add(scaled, dy);  // Of u Bᵀ, which is in y and in p.
  lora_up_backward(context, group, gradients, du, scaled, saved.u);
  core::matmul_nn(dinput, du, group.a, Accumulate::kYes);
  lora_drop_backward(context, group, site, dx, dinput);
}

}  // namespace

AdaptedSaved take_adapted(core::Arena& arena, const LoraGroup& group, int64_t rows, int64_t width) {
  const bool decomposed = group.decomposed();
  return {.u = arena.take(rows, group.ranks()),
          .product = arena.take(decomposed ? rows : 0, width),
          .gains = arena.take(decomposed ? 3 : 0, width)};
}

void adapted_gains(Context context, View weight, const LoraGroup& group, View gains) {
  context.kernels.fill(gain_of(gains), 1.0F);
  context.kernels.fill(gains.row_range(1, 2), 0.0F);
  for (int32_t i = 0; i < group.count; ++i) {
    const LoraPart& part = group.parts.at(static_cast<size_t>(i));
    if (!part.magnitude.empty()) {
      part_gains(context, weight.row_range(part.out_begin, part.b.rows),
                 group.a.row_range(part.u_begin, part.b.cols), part,
                 gains.col_range(part.out_begin, part.b.rows));
    }
  }
}

void adapted_forward(Context context, View weight, const LoraGroup& group, Site site, View y,
                     View x, const AdaptedSaved& saved, Accumulate accumulate) {
  if (group.decomposed()) {
    decomposed_forward(context, weight, group, site, y, x, saved, accumulate);
    return;
  }
  if (!y.empty()) {
    core::matmul_nt(y, x, weight, accumulate);
  }
  if (group.empty()) {
    return;
  }
  const Scratch scratch(context.arena);
  lora_down(context, group, saved.u, lora_input(context, group, site, x));
  if (!y.empty()) {
    lora_up(group, y, saved.u);
  }
}

View adapted_backward_input(Context context, View weight, const LoraGroup& group,
                            const LoraGroup& gradients, Site site, View dx, View dy,
                            const AdaptedSaved& saved) {
  const View du = context.arena.take(dy.rows, group.ranks());  // [n, R]
  if (group.decomposed()) {
    decomposed_backward(context, weight, group, gradients, site, dx, dy, du, saved);
    return du;
  }
  linear_backward_input(dx, dy, weight);
  if (!group.empty()) {
    lora_up_backward(context, group, gradients, du, dy, saved.u);
    lora_down_backward(context, group, site, dx, du);
  }
  return du;
}

void adapted_backward(Context context, View weight, const LoraGroup& group,
                      const LoraGroup& gradients, Site site, View dx, View dy, View x,
                      const AdaptedSaved& saved) {
  const Scratch scratch(context.arena);
  const View du = adapted_backward_input(context, weight, group, gradients, site, dx, dy, saved);
  lora_backward_weights(context, group, gradients, site, du, x);
}

}  // namespace llavasharp::layers
