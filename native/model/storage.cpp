#include "model/storage.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>

#include "core/error.h"

namespace llavasharp::model {
namespace {

using backend::FourBitLevels;
using core::fail;

constexpr int64_t kFloatBytes = sizeof(float);

// Pieces begin on cache lines.
constexpr int64_t lines(int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

bool is_double(Storage storage) {
  return storage == Storage::kNf4Double || storage == Storage::kFp4Double;
}

FourBitLevels levels_of(Storage storage) {
  return storage == Storage::kNf4 || storage == Storage::kNf4Double ? FourBitLevels::kNf4
                                                                    : FourBitLevels::kFp4;
}

core::View matrix(const Parameter& parameter, float* values) {
  return core::dense(values, parameter.shape[0], parameter.count / parameter.shape[0]);
}

void check_finite(const Parameter& parameter, Storage storage, std::span<const float> scales) {
  if (!std::ranges::all_of(scales, [](float scale) { return std::isfinite(scale); })) {
    fail(LLV_INVALID, "'%s' holds a value that is not finite: it cannot be stored as %s",
         parameter.name.c_str(), storage_name(storage));
  }
}

}  // namespace

const char* storage_name(Storage storage) {
  switch (storage) {
    case Storage::kFloat32:
      return "float32";
    case Storage::kBFloat16:
      return "bfloat16";
    case Storage::kInt8:
      return "int8";
    case Storage::kNf4:
    case Storage::kNf4Double:
      return "nf4";
    case Storage::kFp4:
    case Storage::kFp4Double:
      return "fp4";
  }
  return "unknown";
}

Storage storage_of(const Config& config, const Unit& unit) {
  const llv_model_config& c = config.get();
  if (unit.kind == LLV_UNIT_LORA) {
    return Storage::kFloat32;
  }
  const bool layer = unit.kind == LLV_UNIT_LAYER && c.linear_storage != LLV_STORE_FLOAT32;
  return static_cast<Storage>(layer ? c.linear_storage : c.storage);
}

Storage storage_of(const Config& config, const Parameter& parameter) {
  const Storage storage =
      storage_of(config, Unit{.kind = parameter.unit_kind, .name = {}, .floats = 0});
  return parameter.rank == 2 || storage == Storage::kBFloat16 ? storage : Storage::kFloat32;
}

int64_t working_floats(const Config& config, const ParameterTable& table) {
  int64_t most = 0;
  for (const Unit& unit : table.units()) {
    if (storage_of(config, unit) != Storage::kFloat32) {
      most = std::max(most, unit.floats);
    }
  }
  return most;
}

StoredUnit::Place StoredUnit::place(const Parameter& parameter, Storage storage, int64_t begin) {
  Place place{.parameter = &parameter,
              .storage = storage,
              .codes = begin,
              .scales = 0,
              .magnitudes = 0,
              .end = 0};
  const int64_t blocks = backend::four_bit_blocks(parameter.count);
  switch (storage) {
    case Storage::kFloat32:
      place.end = begin + lines(parameter.count * kFloatBytes);
      break;
    case Storage::kBFloat16:
      place.end = begin + lines(parameter.count * 2);
      break;
    case Storage::kInt8:
      place.scales = begin + lines(parameter.count);
      place.end = place.scales + lines(parameter.shape[0] * kFloatBytes);
      break;
    case Storage::kNf4:
    case Storage::kFp4:
      place.scales = begin + lines((parameter.count + 1) / 2);
      place.end = place.scales + lines(blocks * kFloatBytes);
      break;
    case Storage::kNf4Double:
    case Storage::kFp4Double:
      place.scales = begin + lines((parameter.count + 1) / 2);
      place.magnitudes = place.scales + lines(blocks);
      place.end = place.magnitudes + lines(backend::scale_magnitudes(blocks) * kFloatBytes);
      break;
  }
  return place;
}

int64_t StoredUnit::bytes(const Config& config, const ParameterTable& table, int32_t unit) {
  int64_t end = 0;
  for (const Parameter& parameter : table.parameters()) {
    if (parameter.unit == unit) {
      end = place(parameter, storage_of(config, parameter), end).end;
    }
  }
  return end;
}

StoredUnit::StoredUnit(const Config& config, const ParameterTable& table, int32_t unit,
                       std::shared_ptr<core::MemoryLedger> ledger) {
  int64_t end = 0;
  for (const Parameter& parameter : table.parameters()) {
    if (parameter.unit == unit) {
      places_.push_back(place(parameter, storage_of(config, parameter), end));
      end = places_.back().end;
    }
  }
  buffer_ = core::Buffer(std::move(ledger), core::Purpose::kParameters, end / kFloatBytes);
}

const StoredUnit::Place& StoredUnit::find(const Parameter& parameter) const {
  const auto found = std::ranges::find(places_, &parameter, &Place::parameter);
  if (found == places_.end()) {
    fail(LLV_INTERNAL, "'%s' is not stored here", parameter.name.c_str());
  }
  return *found;
}

backend::FourBits StoredUnit::four_bits(const Place& place) const {
  backend::FourBits bits{.levels = levels_of(place.storage),
                         .codes = reinterpret_cast<const uint8_t*>(at(place.codes))};
  if (is_double(place.storage)) {
    bits.scale_codes = reinterpret_cast<const uint8_t*>(at(place.scales));
    bits.magnitudes = reinterpret_cast<const float*>(at(place.magnitudes));
  } else {
    bits.scales = reinterpret_cast<const float*>(at(place.scales));
  }
  return bits;
}

void StoredUnit::write(const backend::Kernels& kernels, const Parameter& parameter,
                       const float* values) {
  const Place& to = find(parameter);
  switch (to.storage) {
    case Storage::kFloat32:
      std::copy_n(values, parameter.count, reinterpret_cast<float*>(at(to.codes)));
      return;
    case Storage::kBFloat16:
      kernels.narrow_bfloat16(reinterpret_cast<uint16_t*>(at(to.codes)), values, parameter.count);
      return;
    case Storage::kInt8: {
      auto* scales = reinterpret_cast<float*>(at(to.scales));
      kernels.encode_int8(reinterpret_cast<int8_t*>(at(to.codes)), scales,
                          matrix(parameter, const_cast<float*>(values)));
      check_finite(parameter, to.storage, {scales, static_cast<size_t>(parameter.shape[0])});
      return;
    }
    default:
      break;
  }
  const auto blocks = static_cast<size_t>(backend::four_bit_blocks(parameter.count));
  std::vector<float> whole(is_double(to.storage) ? blocks : 0);
  float* scales = whole.empty() ? reinterpret_cast<float*>(at(to.scales)) : whole.data();
  kernels.encode_four_bits(reinterpret_cast<uint8_t*>(at(to.codes)), scales, values,
                           parameter.count, levels_of(to.storage));
  check_finite(parameter, to.storage, {scales, blocks});
  if (!whole.empty()) {
    backend::quantize_scales(whole, reinterpret_cast<uint8_t*>(at(to.scales)),
                             reinterpret_cast<float*>(at(to.magnitudes)));
  }
}

void StoredUnit::decode(const backend::Kernels& kernels, const Place& place, float* values) const {
  const Parameter& parameter = *place.parameter;
  switch (place.storage) {
    case Storage::kFloat32:
      std::copy_n(reinterpret_cast<const float*>(at(place.codes)), parameter.count, values);
      break;
    case Storage::kBFloat16:
      kernels.convert(values, at(place.codes), core::DType::kBFloat16, parameter.count);
      break;
    case Storage::kInt8:
      kernels.decode_int8(matrix(parameter, values),
                          reinterpret_cast<const int8_t*>(at(place.codes)),
                          reinterpret_cast<const float*>(at(place.scales)));
      break;
    default:
      kernels.decode_four_bits(values, four_bits(place), parameter.count);
  }
}

void StoredUnit::read(const backend::Kernels& kernels, const Parameter& parameter,
                      float* values) const {
  decode(kernels, find(parameter), values);
}

void StoredUnit::open(const backend::Kernels& kernels, float* floats) const {
  for (const Place& place : places_) {
    decode(kernels, place, floats + place.parameter->offset);
  }
}

}  // namespace llavasharp::model
