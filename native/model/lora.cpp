// A model's adapters: attaching, merging into the base weights, and taking them out again.
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/matmul.h"
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
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    fail(LLV_INVALID, "dropout is %g: must be 0 or more and below 1", options.dropout);
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
  const Parameter& a = table_.parameters()[table_.parameters().size() - 2];
  // Kaiming's uniform with a = √5 comes to ±1/√in.
  const double bound = 1.0 / std::sqrt(static_cast<double>(a.shape[1]));
  fill_uniform(values(a), stream_key(options.seed, a.name), -bound, bound);
  bind();
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

void Llava::merge_lora() {
  if (lora_merged_) {
    fail(LLV_STATE, "the adapters are merged already");
  }
  if (std::ranges::none_of(table_.units(),
                           [](const Unit& unit) { return unit.kind == LLV_UNIT_LORA; })) {
    fail(LLV_STATE, "the model has no adapter to merge");
  }
  check_float32(LLV_UNIT_LAYER, "merging");
  add_lora_products(1);
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
  add_lora_products(-1);
  lora_merged_ = false;
  bind();
}

void Llava::check_writable(const Parameter& parameter) const {
  if (lora_merged_ && parameter.unit_kind == LLV_UNIT_LORA) {
    fail(LLV_STATE, "'%s' is merged into its weight: unmerge before changing it",
         parameter.name.c_str());
  }
}

}  // namespace llavasharp::model
