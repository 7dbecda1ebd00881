// A model's adapters: attaching, merging into the base weights, and taking them out again.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/matmul.h"
#include "layers/adapted.h"
#include "model/llava.h"
#include "model/random.h"

namespace llavasharp::model {
namespace {

using core::fail;

void check_options(const LoraOptions& options) {
  if (options.rank < 1 || options.rank > 65536) {
    fail(LLV_INVALID, "rank is %lld: must be 1 to 65536", static_cast<long long>(options.rank));
  }
  if (!std::isfinite(options.alpha)) {
    fail(LLV_INVALID, "alpha is %g: must be finite", options.alpha);
  }
  // The kernels compute 1 / (1 - dropout) in float32, where a value just below 1 is 1.
  if (!(options.dropout >= 0 && static_cast<float>(options.dropout) < 1)) {
    fail(LLV_INVALID, "dropout is %.9g: must be 0 or more, and below 1 in float32",
         options.dropout);
  }
}

}  // namespace

void Llava::attach_lora(const LoraOptions& options, std::string_view weight_name) {
  check_options(options);
  check_whole();
  if (lora_merged_) {
    fail(LLV_STATE, "the adapters are merged: unmerge them before attaching another");
  }
  struct Placed {
    const Parameter* parameter;
    int64_t offset;
  };
  std::vector<Placed> before;  // The layer's unit is laid out anew.
  for (const Parameter& parameter : table_.parameters()) {
    if (parameter.unit_kind == LLV_UNIT_LORA) {
      before.push_back({.parameter = &parameter, .offset = parameter.offset});
    }
  }
  const int32_t unit = table_.add_lora(weight_name, options);
  units_.resize(table_.units().size());
  addresses_.resize(units_.size());
  parts_.resize(units_.size());
  stored_.resize(units_.size());
  core::Buffer& buffer = units_[static_cast<size_t>(unit)];
  const core::Buffer old = std::move(buffer);
  buffer = core::Buffer(engine_.ledger(), core::Purpose::kParameters,
                        table_.units()[static_cast<size_t>(unit)].floats);
  addresses_[static_cast<size_t>(unit)] = buffer.data();
  for (const auto& [parameter, offset] : before) {
    if (parameter->unit == unit) {
      std::copy_n(old.data() + offset, parameter->count, values(*parameter).begin());
    }
  }
  const Parameter& weight = table_.find(weight_name);
  const Parameter& a = table_.parameters()[static_cast<size_t>(table_.adapter_of(weight)->a)];
  // Kaiming's uniform with a = √5 comes to ±1/√in.
  const double bound = 1.0 / std::sqrt(static_cast<double>(a.shape[1]));
  fill_uniform(values(a), stream_key(options.seed, a.name), -bound, bound);
  if (options.decomposed) {
    measure_rows(weight);
  }
  bind();
}

bool Llava::decomposed(const Parameter& weight) const {
  const LoraRows* adapter = table_.adapter_of(weight);
  return adapter != nullptr && adapter->magnitude >= 0;
}

void Llava::measure_rows(const Parameter& weight) {
  const StoredUnit& stored = stored_[static_cast<size_t>(weight.unit)];
  if (stored.empty()) {
    measure_rows(weight, values(weight));
    return;
  }
  close_unit();
  stored.read(engine_.kernels(), weight, working_.data());
  measure_rows(weight, std::span(working_.data(), static_cast<size_t>(weight.count)));
}

void Llava::measure_rows(const Parameter& weight, std::span<const float> values) {
  const auto row = static_cast<size_t>(table_.adapter_of(weight)->magnitude);
  const Parameter& magnitude = table_.parameters()[row];
  std::vector<float> lengths(static_cast<size_t>(magnitude.count));
  // The kernel reads only; a view has no other kind of pointer.
  const View rows =
      core::dense(const_cast<float*>(values.data()), weight.shape[0], weight.shape[1]);
  engine_.kernels().row_dot(core::dense(lengths.data(), 1, magnitude.count), rows, rows, 1.0F,
                            false);
  std::ranges::transform(lengths, lengths.begin(), [](float square) { return std::sqrt(square); });
  if (in_part(magnitude)) {
    write_part(magnitude, core::DType::kFloat32, std::as_bytes(std::span(lengths)).data());
  } else {
    std::ranges::copy(lengths, this->values(magnitude).begin());
  }
}

// W += sign · s · B A, for every adapter.
void Llava::add_lora_products(double sign) {
  const auto view_of = [this](int64_t row) {
    const Parameter& parameter = table_.parameters()[static_cast<size_t>(row)];
    return core::dense(values(parameter).data(), parameter.shape[0], parameter.shape[1]);
  };
  for (size_t i = 0; i < table_.rows().layers.size(); ++i) {
    const DecoderLayerRows& layer = table_.rows().layers[i];
    const DecoderLayerLora& lora = table_.rows().lora[i];
    for (const LoraTarget& target : lora_targets()) {
      const LoraRows& rows = lora.*target.lora;
      if (rows.a < 0) {
        continue;
      }
      const layers::Scratch scratch(engine_.arena());
      const View b = view_of(rows.b);                            // [out, r]
      const View scaled = engine_.arena().take(b.rows, b.cols);  // [out, r]
      engine_.kernels().copy(scaled, b);
      engine_.kernels().scale(scaled, static_cast<float>(sign) * rows.options.scale());
      core::matmul_nn(view_of(layer.*target.weight), scaled, view_of(rows.a),
                      core::Accumulate::kYes);
    }
  }
}

namespace {

struct AdaptedLinear {
  View weight;
  const layers::LoraGroup* group;
};

std::array<AdaptedLinear, 4> adapted_linears(const DecoderLayerWeights& layer) {
  return {{{layer.attention.qkv, &layer.attention.qkv_lora},
           {layer.attention.out, &layer.attention.out_lora},
           {layer.mlp.gate_up, &layer.mlp.gate_up_lora},
           {layer.mlp.down, &layer.mlp.down_lora}}};
}

}  // namespace

// What DoRA scales each row of each product's weight by, in the layers' order; empty where it does
// not.
std::vector<std::vector<float>> Llava::row_gains() const {
  std::vector<std::vector<float>> all;
  for (const DecoderLayerWeights& layer : weights_.layers) {
    for (const auto& [weight, group] : adapted_linears(layer)) {
      std::vector<float>& gains = all.emplace_back();
      if (group->decomposed()) {
        const layers::Scratch scratch(engine_.arena());
        const View rows = engine_.arena().take(3, weight.rows);
        layers::adapted_gains(engine_.context(), weight, *group, rows);
        gains.assign(rows.f32(), rows.f32() + weight.rows);
      }
    }
  }
  return all;
}

// Multiplies those rows by their gains, or divides them again.
void Llava::scale_rows(bool merging) {
  auto gains = merged_gains_.begin();
  for (const DecoderLayerWeights& layer : weights_.layers) {
    for (const AdaptedLinear& linear : adapted_linears(layer)) {
      int64_t row = 0;
      for (const float gain : *gains++) {
        engine_.kernels().scale(linear.weight.row_range(row++, 1), merging ? gain : 1.0F / gain);
      }
    }
  }
}

void Llava::merge_lora() {
  if (lora_merged_) {
    fail(LLV_STATE, "the adapters are merged already");
  }
  if (std::ranges::none_of(table_.units(),
                           [](const Unit& unit) { return unit.kind == LLV_UNIT_LORA; })) {
    fail(LLV_STATE, "the model has no adapter to merge");
  }
  check_float32(LLV_UNIT_LAYER, "merging");
  merged_gains_ = row_gains();
  add_lora_products(1);
  scale_rows(true);
  lora_merged_ = true;
  for (DecoderLayerWeights& layer : weights_.layers) {
    layer.attention.qkv_lora = layer.attention.out_lora = {};
    layer.mlp.gate_up_lora = layer.mlp.down_lora = {};
  }
}

void Llava::unmerge_lora() {
  if (!lora_merged_) {
    fail(LLV_STATE, "the adapters are not merged");
  }
  for (const std::vector<float>& gains : merged_gains_) {
    if (std::ranges::find(gains, 0.0F) != gains.end()) {
      fail(LLV_STATE,
           "a row was merged with a magnitude of 0, which cannot be divided out: load the model "
           "again");
    }
  }
  scale_rows(false);
  add_lora_products(-1);
  lora_merged_ = false;
  merged_gains_.clear();
  bind();
}

void Llava::check_writable(const Parameter& parameter) const {
  if (lora_merged_ && parameter.unit_kind == LLV_UNIT_LORA) {
    fail(LLV_STATE, "'%s' is merged into its weight: unmerge before changing it",
         parameter.name.c_str());
  }
  // Unmerging would subtract the adapter from a weight that never had it.
  if (lora_merged_ && table_.adapter_of(parameter) != nullptr) {
    fail(LLV_STATE, "'%s' has an adapter merged into it: unmerge before changing it",
         parameter.name.c_str());
  }
}

}  // namespace llavasharp::model
