#include "model/weights.h"

#include <initializer_list>
#include <utility>

namespace llavasharp::model {
namespace {

class Binder {
 public:
  Binder(const ParameterTable& table, std::span<float* const> units)
      : table_(table), units_(units) {}

  [[nodiscard]] View one(int64_t row) const { return parameter_view(table_, row, units_); }

  // Adjacent parameters first … last as one matrix or vector.
  [[nodiscard]] View fused(int64_t first, int64_t last) const {
    View view = one(first);
    if (view.empty()) {
      return view;
    }
    const auto& rows = table_.parameters();
    const bool vector = rows[static_cast<size_t>(first)].rank == 1;
    for (int64_t row = first + 1; row <= last; ++row) {
      const int64_t count = rows[static_cast<size_t>(row)].shape[0];
      (vector ? view.cols : view.rows) += count;
    }
    if (vector) {
      view.stride = view.cols;
    }
    return view;
  }
  [[nodiscard]] layers::LayerNorm norm(const Pair& pair) const {
    return {.weight = one(pair.weight), .bias = one(pair.bias)};
  }
  [[nodiscard]] layers::Linear linear(const Pair& pair) const {
    return {.weight = one(pair.weight), .bias = one(pair.bias)};
  }

  // Adapters of one input, whose linears' outputs lie side by side.
  [[nodiscard]] layers::LoraGroup lora(
      std::initializer_list<std::pair<const LoraRows*, int64_t>> adapters) const {
    layers::LoraGroup group;
    int64_t out = 0;
    int64_t ranks = 0;
    for (const auto& [rows, weight] : adapters) {
      const int64_t width = table_.parameters()[static_cast<size_t>(weight)].shape[0];
      if (rows->a >= 0) {
        if (group.count == 0) {
          group.a = one(rows->a);
        }
        group.parts.at(static_cast<size_t>(group.count++)) = {
            .b = one(rows->b),
            .magnitude = rows->magnitude < 0 ? View{} : one(rows->magnitude),
            .out_begin = out,
            .u_begin = ranks,
            .scale = rows->options.scale()};
        group.dropout = static_cast<float>(rows->options.dropout);
        group.seed = static_cast<uint64_t>(rows->options.seed);
        ranks += rows->options.rank;
      }
      out += width;
    }
    if (!group.a.empty()) {
      group.a.rows = ranks;  // Adjacent.
    }
    return group;
  }

 private:
  const ParameterTable& table_;
  std::span<float* const> units_;
};

// In place: binding again allocates nothing.
void bind_vision(VisionWeights& vision, const Binder& bind, const Rows& rows) {
  if (rows.class_embedding < 0) {
    return;
  }
  vision.layers.clear();
  vision.class_embedding = bind.one(rows.class_embedding);
  vision.patch_embedding = bind.one(rows.patch_embedding);
  vision.position_embedding = bind.one(rows.position_embedding);
  vision.pre_norm = bind.norm(rows.pre_norm);
  for (const VisionLayerRows& layer : rows.vision_layers) {
    vision.layers.push_back({.norm1 = bind.norm(layer.norm1),
                             .qkv = {.weight = bind.fused(layer.query.weight, layer.value.weight),
                                     .bias = bind.fused(layer.query.bias, layer.value.bias)},
                             .out = bind.linear(layer.out),
                             .norm2 = bind.norm(layer.norm2),
                             .fc1 = bind.linear(layer.fc1),
                             .fc2 = bind.linear(layer.fc2)});
  }
}

DecoderLayerWeights bind_layer(const Binder& bind, const Rows& rows, size_t index) {
  const DecoderLayerRows& layer = rows.layers[index];
  const DecoderLayerLora& lora = rows.lora[index];
  return {.attention = {.norm = bind.one(layer.input_norm),
                        .qkv = bind.fused(layer.query, layer.value),
                        .out = bind.one(layer.out),
                        .qkv_lora = bind.lora({{&lora.query, layer.query},
                                               {&lora.key, layer.key},
                                               {&lora.value, layer.value}}),
                        .out_lora = bind.lora({{&lora.out, layer.out}})},
          .mlp = {.norm = bind.one(layer.post_norm),
                  .gate_up = bind.fused(layer.gate, layer.up),
                  .down = bind.one(layer.down),
                  .gate_up_lora = bind.lora({{&lora.gate, layer.gate}, {&lora.up, layer.up}}),
                  .down_lora = bind.lora({{&lora.down, layer.down}})}};
}

}  // namespace

View parameter_view(const ParameterTable& table, int64_t row, std::span<float* const> units) {
  const Parameter& parameter = table.parameters()[static_cast<size_t>(row)];
  float* unit = units[static_cast<size_t>(parameter.unit)];
  if (unit == nullptr) {
    return {};
  }
  const int64_t rows = parameter.rank == 1 ? 1 : parameter.shape[0];
  return core::dense(unit + parameter.offset, rows, parameter.count / rows);
}

Weights bind_weights(const ParameterTable& table, std::span<float* const> units) {
  Weights weights;
  weights.projector.resize(table.rows().projector.size());
  weights.layers.resize(table.rows().layers.size());
  for (size_t unit = 0; unit < table.units().size(); ++unit) {
    if (table.units()[unit].kind != LLV_UNIT_LORA) {  // Bound with its layer.
      rebind_unit(weights, table, static_cast<int32_t>(unit), units);
    }
  }
  return weights;
}

void rebind_unit(Weights& weights, const ParameterTable& table, int32_t unit,
                 std::span<float* const> units) {
  const Binder bind(table, units);
  const Rows& rows = table.rows();
  switch (table.units()[static_cast<size_t>(unit)].kind) {
    case LLV_UNIT_VISION:
      bind_vision(weights.vision, bind, rows);
      break;
    case LLV_UNIT_PROJECTOR:
      for (size_t i = 0; i < rows.projector.size(); ++i) {
        weights.projector[i] = bind.linear(rows.projector[i]);
      }
      break;
    case LLV_UNIT_EMBED:
      weights.embed = bind.one(rows.embed);
      break;
    case LLV_UNIT_HEAD:
      weights.head = {.norm = bind.one(rows.head_norm), .weight = bind.one(rows.head)};
      break;
    case LLV_UNIT_NEWLINE:
      weights.newline = bind.one(rows.newline);
      break;
    default: {
      const auto layer = static_cast<size_t>(table.layer_of(unit));
      weights.layers[layer] = bind_layer(bind, rows, layer);
    }
  }
}

}  // namespace llavasharp::model
