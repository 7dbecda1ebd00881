#include "model/parameters.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace llavasharp::model {

ParameterTable::ParameterTable(const Config& config) {
  const llv_model_config& c = config.get();
  begin_unit(LLV_UNIT_VISION, "vision");
  if (config.has_tower()) {
    add_vision(config);
  }
  end_unit();
  begin_unit(LLV_UNIT_PROJECTOR, "projector");
  add_projector(config);
  end_unit();
  begin_unit(LLV_UNIT_EMBED, "embed");
  rows_.embed = add("embed.weight", {c.vocabulary, c.hidden});
  end_unit();
  for (int32_t i = 0; i < c.layers; ++i) {
    begin_unit(LLV_UNIT_LAYER, "layer." + std::to_string(i));
    add_layer(i, config);
    end_unit();
  }
  begin_unit(LLV_UNIT_HEAD, "head");
  rows_.head_norm = add("head.norm.weight", {c.hidden}, false);
  rows_.head = add("head.weight", {c.vocabulary, c.hidden});
  end_unit();
  if (c.image_newline != 0) {
    begin_unit(LLV_UNIT_NEWLINE, "newline");
    rows_.newline = add("image_newline", {c.hidden});
    end_unit();
  }
  rows_.lora.resize(rows_.layers.size());
  for (size_t i = 0; i < parameters_.size(); ++i) {
    by_name_.emplace(parameters_[i].name, i);
  }
}

const Parameter& ParameterTable::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    core::fail(LLV_INVALID, "no parameter is named '%.*s'", static_cast<int>(name.size()),
               name.data());
  }
  return parameters_[found->second];
}

int32_t ParameterTable::unit_of(int32_t kind) const {
  const auto found = std::ranges::find(units_, kind, &Unit::kind);
  if (found == units_.end()) {
    core::fail(LLV_INTERNAL, "no unit is of kind %d", kind);
  }
  return static_cast<int32_t>(found - units_.begin());
}

int32_t ParameterTable::layer_of(int32_t unit) const {
  const int32_t kind = units_[static_cast<size_t>(unit)].kind;
  if (kind == LLV_UNIT_LAYER) {
    return unit - kFirstLayerUnit;
  }
  for (size_t layer = 0; kind == LLV_UNIT_LORA && layer < rows_.lora.size(); ++layer) {
    for (const LoraTarget& target : lora_targets()) {
      const int64_t a = (rows_.lora[layer].*target.lora).a;
      if (a >= 0 && parameters_[static_cast<size_t>(a)].unit == unit) {
        return static_cast<int32_t>(layer);
      }
    }
  }
  return -1;
}

void ParameterTable::begin_unit(int32_t kind, std::string name) {
  units_.push_back({.kind = kind, .name = std::move(name), .floats = 0});
}

void ParameterTable::end_unit() {
  units_.back().floats = aligned(units_.back().floats);
}

int64_t ParameterTable::add(const std::string& name, std::initializer_list<int64_t> shape,
                            bool decay, Place place) {
  Unit& unit = units_.back();
  Parameter row{.name = name,
                .unit_kind = unit.kind,
                .unit = static_cast<int32_t>(units_.size() - 1),
                .rank = static_cast<int32_t>(shape.size()),
                .decay = decay,
                .shape = {1, 1, 1, 1},
                .count = 1,
                .offset = place == Place::kAligned ? aligned(unit.floats) : unit.floats};
  size_t axis = 0;
  for (const int64_t size : shape) {
    row.shape.at(axis++) = size;
    row.count *= size;
  }
  unit.floats = row.offset + row.count;
  parameters_.push_back(std::move(row));
  return static_cast<int64_t>(parameters_.size()) - 1;
}

Pair ParameterTable::add_norm(const std::string& name, int64_t width) {
  const int64_t weight = add(name + ".weight", {width}, false);
  return {.weight = weight, .bias = add(name + ".bias", {width}, false)};
}

Pair ParameterTable::add_linear(const std::string& name, int64_t out, int64_t in) {
  const int64_t weight = add(name + ".weight", {out, in});
  return {.weight = weight, .bias = add(name + ".bias", {out}, false)};
}

void ParameterTable::add_vision(const Config& config) {
  const llv_model_config& c = config.get();
  const int64_t width = c.vision_hidden;
  rows_.class_embedding = add("vision.embeddings.class_embedding", {width});
  rows_.patch_embedding =
      add("vision.embeddings.patch_embedding.weight", {width, 3, c.patch_size, c.patch_size});
  rows_.position_embedding =
      add("vision.embeddings.position_embedding.weight", {1 + config.patches(), width});
  rows_.pre_norm = add_norm("vision.pre_layrnorm", width);
  for (int32_t i = 0; i < c.vision_layers; ++i) {
    add_vision_layer("vision.encoder.layers." + std::to_string(i), c);
  }
  rows_.post_norm = add_norm("vision.post_layernorm", width);
}

void ParameterTable::add_vision_layer(const std::string& name, const llv_model_config& c) {
  const int64_t width = c.vision_hidden;
  const std::string attention = name + ".self_attn.";
  VisionLayerRows rows;
  rows.norm1 = add_norm(name + ".layer_norm1", width);
  rows.query.weight = add(attention + "q_proj.weight", {width, width});
  rows.key.weight = add(attention + "k_proj.weight", {width, width}, true, Place::kAdjacent);
  rows.value.weight = add(attention + "v_proj.weight", {width, width}, true, Place::kAdjacent);
  rows.query.bias = add(attention + "q_proj.bias", {width}, false);
  rows.key.bias = add(attention + "k_proj.bias", {width}, false, Place::kAdjacent);
  rows.value.bias = add(attention + "v_proj.bias", {width}, false, Place::kAdjacent);
  rows.out = add_linear(attention + "out_proj", width, width);
  rows.norm2 = add_norm(name + ".layer_norm2", width);
  rows.fc1 = add_linear(name + ".mlp.fc1", c.vision_intermediate, width);
  rows.fc2 = add_linear(name + ".mlp.fc2", width, c.vision_intermediate);
  rows_.vision_layers.push_back(rows);
}

void ParameterTable::add_projector(const Config& config) {
  const llv_model_config& c = config.get();
  const bool sequential = c.projector == LLV_PROJECTOR_MLP;
  for (int32_t i = 0; i < config.projector_linears(); ++i) {
    // A linear and its GELU are two modules of LLaVA's nn.Sequential, hence the index 2i.
    const std::string name = sequential ? "projector." + std::to_string(2 * i) : "projector";
    rows_.projector.push_back(add_linear(name, c.hidden, i == 0 ? c.vision_hidden : c.hidden));
  }
}

void ParameterTable::add_layer(int32_t index, const Config& config) {
  const llv_model_config& c = config.get();
  const int64_t width = c.hidden;
  const int64_t queries = config.query_width();
  const int64_t keys = config.key_value_width() / 2;
  const std::string name = "layer." + std::to_string(index) + ".";
  const std::string attention = name + "self_attn.";
  const std::string mlp = name + "mlp.";
  DecoderLayerRows rows{};
  rows.input_norm = add(name + "input_layernorm.weight", {width}, false);
  rows.query = add(attention + "q_proj.weight", {queries, width});
  rows.key = add(attention + "k_proj.weight", {keys, width}, true, Place::kAdjacent);
  rows.value = add(attention + "v_proj.weight", {keys, width}, true, Place::kAdjacent);
  rows.out = add(attention + "o_proj.weight", {width, queries});
  rows.post_norm = add(name + "post_attention_layernorm.weight", {width}, false);
  rows.gate = add(mlp + "gate_proj.weight", {c.intermediate, width});
  rows.up = add(mlp + "up_proj.weight", {c.intermediate, width}, true, Place::kAdjacent);
  rows.down = add(mlp + "down_proj.weight", {width, c.intermediate});
  rows_.layers.push_back(rows);
}

}  // namespace llavasharp::model
