#include "layers/lora.h"

#include <algorithm>

#include "core/matmul.h"

namespace llavasharp::layers {
namespace {

using core::Accumulate;

uint64_t mask_key(Context context, const LoraGroup& group, Site site) {
  return backend::mix_keys(context.dropout.key, group.seed, static_cast<uint64_t>(site));
}

View columns_of(const LoraPart& part, View u) {
  return u.col_range(part.u_begin, part.b.cols);
}

}  // namespace

int64_t LoraGroup::ranks() const {
  int64_t sum = 0;
  for (int32_t i = 0; i < count; ++i) {
    sum += parts.at(static_cast<size_t>(i)).b.cols;
  }
  return sum;
}

LoraGroup LoraGroup::slice(int64_t out_begin, int64_t out_end) const {
  LoraGroup some{.a = {}, .parts = {}, .count = 0, .dropout = dropout, .seed = seed};
  int64_t first = 0;  // Of the kept parts' rows of a.
  int64_t rows = 0;
  for (int32_t i = 0; i < count; ++i) {
    LoraPart part = parts.at(static_cast<size_t>(i));
    if (part.out_begin < out_begin || part.out_begin >= out_end) {
      continue;
    }
    if (some.count == 0) {
      first = part.u_begin;
    }
    part.out_begin -= out_begin;
    part.u_begin -= first;
    rows += part.b.cols;
    some.parts.at(static_cast<size_t>(some.count++)) = part;
  }
  if (some.count > 0 && !a.empty()) {
    some.a = a.row_range(first, rows);
  }
  return some;
}

bool LoraGroup::decomposed() const {
  return std::any_of(parts.begin(), parts.begin() + count,
                     [](const LoraPart& part) { return !part.magnitude.empty(); });
}

bool lora_drops(Context context, const LoraGroup& group) {
  return context.dropout.active && group.dropout > 0.0F;
}

View lora_input(Context context, const LoraGroup& group, Site site, View x) {
  if (!lora_drops(context, group)) {
    return x;
  }
  const View dropped = context.arena.take(x.rows, x.cols);  // [n, in]
  context.kernels.dropout(dropped, x, mask_key(context, group, site), group.dropout, false);
  return dropped;
}

void lora_down(Context context, const LoraGroup& group, View u, View x) {
  core::matmul_nt(u, x, group.a);
  for (int32_t i = 0; i < group.count; ++i) {
    const LoraPart& part = group.parts.at(static_cast<size_t>(i));
    context.kernels.scale(columns_of(part, u), part.scale);
  }
}

void lora_up(const LoraGroup& group, View y, View u) {
  for (int32_t i = 0; i < group.count; ++i) {
    const LoraPart& part = group.parts.at(static_cast<size_t>(i));
    core::matmul_nt(y.col_range(part.out_begin, part.b.rows), columns_of(part, u), part.b,
                    Accumulate::kYes);
  }
}

void lora_up_backward(Context context, const LoraGroup& group, const LoraGroup& gradients, View du,
                      View dy, View u) {
  for (int32_t i = 0; i < group.count; ++i) {
    const LoraPart& part = group.parts.at(static_cast<size_t>(i));
    const View& db = gradients.parts.at(static_cast<size_t>(i)).b;
    const View dpart = dy.col_range(part.out_begin, part.b.rows);
    const View columns = columns_of(part, du);  // [n, r]
    core::matmul_nn(columns, dpart, part.b);
    context.kernels.scale(columns, part.scale);
    if (!db.empty()) {
      core::matmul_tn(db, dpart, columns_of(part, u), Accumulate::kYes);
    }
  }
}

void lora_down_backward(Context context, const LoraGroup& group, Site site, View dx, View du) {
  if (!lora_drops(context, group)) {
    core::matmul_nn(dx, du, group.a, Accumulate::kYes);
    return;
  }
  const Scratch scratch(context.arena);
  const View dropped = context.arena.take(dx.rows, dx.cols);  // [n, in]
  core::matmul_nn(dropped, du, group.a);
  lora_drop_backward(context, group, site, dx, dropped);
}

void lora_drop_backward(Context context, const LoraGroup& group, Site site, View dx, View dinput) {
  context.kernels.dropout(dx, dinput, mask_key(context, group, site), group.dropout, true);
}

void lora_backward_weights(Context context, const LoraGroup& group, const LoraGroup& gradients,
                           Site site, View du, View x) {
  if (gradients.a.empty()) {
    return;
  }
  const Scratch scratch(context.arena);
  core::matmul_tn(gradients.a, du, lora_input(context, group, site, x), Accumulate::kYes);
}

}  // namespace llavasharp::layers
