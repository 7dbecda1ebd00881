// The parameter table's adapters: one unit a decoder layer, in which the A of adapters that read
// one input are adjacent, so that one product reads them together.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "core/error.h"
#include "model/parameters.h"

namespace llavasharp::model {
namespace {

using core::fail;

constexpr std::array<LoraTarget, 7> kTargets{{
    {&DecoderLayerRows::query, &DecoderLayerLora::query, 0},
    {&DecoderLayerRows::key, &DecoderLayerLora::key, 0},
    {&DecoderLayerRows::value, &DecoderLayerLora::value, 0},
    {&DecoderLayerRows::out, &DecoderLayerLora::out, 1},
    {&DecoderLayerRows::gate, &DecoderLayerLora::gate, 2},
    {&DecoderLayerRows::up, &DecoderLayerLora::up, 2},
    {&DecoderLayerRows::down, &DecoderLayerLora::down, 3},
}};

void check_neighbours(const DecoderLayerLora& layer, const LoraTarget& target,
                      const LoraOptions& options, const std::string& name) {
  for (const LoraTarget& other : kTargets) {
    const LoraRows& rows = layer.*other.lora;
    if (other.input != target.input || rows.a < 0) {
      continue;
    }
    if (rows.options.dropout != options.dropout || rows.options.seed != options.seed) {
      fail(LLV_INVALID,
           "the adapter of '%s' has dropout %g and seed %lld: one on the same input has %g and "
           "%lld, and they share its mask",
           name.c_str(), options.dropout, static_cast<long long>(options.seed),
           rows.options.dropout, static_cast<long long>(rows.options.seed));
    }
  }
}

}  // namespace

std::span<const LoraTarget> lora_targets() {
  return kTargets;
}

float LoraOptions::scale() const {
  const auto r = static_cast<double>(rank);
  return static_cast<float>(alpha / (rank_stabilized ? std::sqrt(r) : r));
}

int32_t ParameterTable::add_lora(std::string_view weight_name, const LoraOptions& options) {
  const Parameter weight = find(weight_name);
  for (size_t layer = 0; layer < rows_.layers.size(); ++layer) {
    for (const LoraTarget& target : kTargets) {
      const int64_t row = rows_.layers[layer].*target.weight;
      if (parameters_[static_cast<size_t>(row)].name != weight.name) {
        continue;
      }
      LoraRows& lora = rows_.lora[layer].*target.lora;
      if (lora.a >= 0) {
        fail(LLV_STATE, "'%s' has an adapter already", weight.name.c_str());
      }
      check_neighbours(rows_.lora[layer], target, options, weight.name);
      const int32_t unit = lora_unit(layer);
      const std::string stem = weight.name.substr(0, weight.name.rfind(".weight"));
      const auto add_row = [&](const char* suffix, int32_t rank, int64_t rows, int64_t cols) {
        return add_adapter({.name = stem + suffix,
                            .unit_kind = LLV_UNIT_LORA,
                            .unit = unit,
                            .rank = rank,
                            .decay = true,
                            .shape = {rows, cols, 1, 1},
                            .count = rows * cols,
                            .offset = 0});
      };
      lora.a = add_row(".lora_A.weight", 2, options.rank, weight.shape[1]);
      lora.b = add_row(".lora_B.weight", 2, weight.shape[0], options.rank);
      if (options.decomposed) {
        lora.magnitude = add_row(".lora_magnitude_vector", 1, weight.shape[0], 1);
      }
      lora.options = options;
      lay_out_lora(layer, unit);
      return unit;
    }
  }
  fail(LLV_UNSUPPORTED, "'%s' cannot carry an adapter: only the decoder layers' linears can",
       weight.name.c_str());
}

int64_t ParameterTable::add_adapter(Parameter parameter) {
  const size_t index = parameters_.size();
  parameters_.push_back(std::move(parameter));
  by_name_.emplace(parameters_[index].name, index);
  return static_cast<int64_t>(index);
}

const LoraRows* ParameterTable::adapter_of(const Parameter& weight) const {
  const int32_t layer = weight.unit_kind == LLV_UNIT_LAYER ? layer_of(weight.unit) : -1;
  if (layer < 0) {
    return nullptr;
  }
  for (const LoraTarget& target : kTargets) {
    const auto at = static_cast<size_t>(layer);
    const LoraRows& rows = rows_.lora[at].*target.lora;
    const auto row = static_cast<size_t>(rows_.layers[at].*target.weight);
    if (rows.a >= 0 && parameters_[row].name == weight.name) {
      return &rows;
    }
  }
  return nullptr;
}

bool ParameterTable::decomposed() const {
  return std::ranges::any_of(rows_.lora, [](const DecoderLayerLora& layer) {
    return std::ranges::any_of(
        kTargets, [&](const LoraTarget& target) { return (layer.*target.lora).magnitude >= 0; });
  });
}

// The layer's adapter unit, made at its first adapter.
int32_t ParameterTable::lora_unit(size_t layer) {
  const std::string name = "layer." + std::to_string(layer) + ".lora";
  for (size_t i = 0; i < units_.size(); ++i) {
    if (units_[i].name == name) {
      return static_cast<int32_t>(i);
    }
  }
  units_.push_back({.kind = LLV_UNIT_LORA, .name = name, .floats = 0});
  return static_cast<int32_t>(units_.size()) - 1;
}

void ParameterTable::lay_out_lora(size_t layer, int32_t unit) {
  int64_t used = 0;
  const auto align = [&] { used = aligned(used); };
  const auto place = [&](int64_t row) {
    Parameter& parameter = parameters_[static_cast<size_t>(row)];
    parameter.offset = used;
    used += parameter.count;
  };
  for (int32_t input = 0; input < 4; ++input) {
    align();
    for (int64_t LoraRows::* const kind : {&LoraRows::a, &LoraRows::b, &LoraRows::magnitude}) {
      for (const LoraTarget& target : kTargets) {
        const LoraRows& rows = rows_.lora[layer].*target.lora;
        if (target.input != input || rows.*kind < 0) {
          continue;
        }
        if (kind != &LoraRows::a) {
          align();
        }
        place(rows.*kind);
      }
    }
  }
  align();
  units_[static_cast<size_t>(unit)].floats = used;
}

}  // namespace llavasharp::model
