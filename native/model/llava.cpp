#include "model/llava.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/error.h"
#include "model/random.h"

namespace llavasharp::model {
namespace {

using core::fail;

constexpr int32_t kAllUnits = LLV_UNIT_VISION | LLV_UNIT_PROJECTOR | LLV_UNIT_EMBED |
                              LLV_UNIT_LAYER | LLV_UNIT_HEAD | LLV_UNIT_LORA | LLV_UNIT_NEWLINE;

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (const int64_t size : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  }
  return text + "]";
}

std::span<const int64_t> shape_of(const Parameter& parameter) {
  return std::span(parameter.shape).first(static_cast<size_t>(parameter.rank));
}

int64_t bytes_of(core::DType dtype) {
  switch (dtype) {
    case core::DType::kFloat32:
      return 4;
    case core::DType::kFloat16:
    case core::DType::kBFloat16:
      return 2;
    case core::DType::kFloat64:
      return 8;
  }
  fail(LLV_INVALID, "dtype is %d: must be 0 to 3", static_cast<int>(dtype));
}

void check_fill(int32_t fill, double a, double b) {
  if (fill < LLV_FILL_CONSTANT || fill > LLV_FILL_UNIFORM) {
    fail(LLV_INVALID, "fill is %d: must be %d to %d", fill, LLV_FILL_CONSTANT, LLV_FILL_UNIFORM);
  }
  if (!std::isfinite(a) || !std::isfinite(b)) {
    fail(LLV_INVALID, "fill's a and b are %g and %g: must be finite", a, b);
  }
  if (fill == LLV_FILL_NORMAL && b < 0) {
    fail(LLV_INVALID, "the deviation is %g: must not be negative", b);
  }
  if (fill == LLV_FILL_UNIFORM && b < a) {
    fail(LLV_INVALID, "the range %g to %g is empty", a, b);
  }
}

}  // namespace

void check_count(const Parameter& parameter, int64_t given) {
  if (given != parameter.count) {
    fail(LLV_SHAPE, "'%s' has %lld elements, %lld were given", parameter.name.c_str(),
         static_cast<long long>(parameter.count), static_cast<long long>(given));
  }
}

Llava::Llava(Engine& engine, const Config& config)
    : engine_(engine), config_(config), table_(config) {
  for (int32_t unit = 0; unit < static_cast<int32_t>(table_.units().size()); ++unit) {
    const int64_t floats = table_.units()[static_cast<size_t>(unit)].floats;
    const bool stored = floats > 0 && unit_storage(unit) != Storage::kFloat32;
    units_.push_back(stored || floats == 0
                         ? core::Buffer()
                         : core::Buffer(engine.ledger(), core::Purpose::kParameters, floats));
    stored_.push_back(stored ? StoredUnit(config_, table_, unit, engine.ledger()) : StoredUnit());
  }
  if (const int64_t floats = working_floats(config_, table_); floats > 0) {
    working_ = core::Buffer(engine.ledger(), core::Purpose::kParameters, floats);
  }
  bind();
}

void Llava::bind() {
  addresses_.clear();
  visible_.clear();
  for (const core::Buffer& buffer : units_) {
    const auto unit = static_cast<int32_t>(addresses_.size());
    addresses_.push_back(buffer.data());
    visible_.push_back(unit_storage(unit) == Storage::kFloat32 ? buffer.data() : nullptr);
  }
  parts_.resize(addresses_.size());
  stored_.resize(addresses_.size());
  open_ = -1;
  weights_ = bind_weights(table_, visible_);
}

void Llava::open_unit(int32_t unit) {
  const int64_t floats = table_.units()[static_cast<size_t>(unit)].floats;
  if (unit == open_ || floats == 0 || unit_storage(unit) == Storage::kFloat32) {
    return;
  }
  close_unit();
  const StoredUnit& stored = stored_[static_cast<size_t>(unit)];
  if (stored.empty()) {
    engine_.kernels().round_bfloat16(working_.data(), unit_data(unit), floats);
  } else {
    stored.open(engine_.kernels(), working_.data());
  }
  open_ = unit;
  visible_[static_cast<size_t>(unit)] = working_.data();
  rebind_unit(weights_, table_, unit, visible_);
}

void Llava::close_unit() {
  if (open_ >= 0) {
    const int32_t unit = std::exchange(open_, -1);
    visible_[static_cast<size_t>(unit)] = nullptr;
    rebind_unit(weights_, table_, unit, visible_);
  }
}

void Llava::check_float32(int32_t unit_kinds, const char* what) const {
  for (int32_t unit = 0; unit < static_cast<int32_t>(table_.units().size()); ++unit) {
    const Unit& row = table_.units()[static_cast<size_t>(unit)];
    if ((row.kind & unit_kinds) != 0 && unit_storage(unit) != Storage::kFloat32) {
      fail(LLV_UNSUPPORTED, "'%s' is stored as %s: %s needs float32", row.name.c_str(),
           storage_name(unit_storage(unit)), what);
    }
  }
}

// Between float32 masters and what is stored.
void Llava::set_master(int32_t unit, bool master) {
  const auto at = static_cast<size_t>(unit);
  if (master) {
    units_[at] =
        core::Buffer(engine_.ledger(), core::Purpose::kParameters, table_.units()[at].floats);
    stored_[at].open(engine_.kernels(), units_[at].data());
    stored_[at] = StoredUnit();
    return;
  }
  stored_[at] = StoredUnit(config_, table_, unit, engine_.ledger());
  for (const Parameter& parameter : table_.parameters()) {
    if (parameter.unit == unit) {
      stored_[at].write(engine_.kernels(), parameter, units_[at].data() + parameter.offset);
    }
  }
  units_[at] = core::Buffer();
}

core::Buffer Llava::take_unit(int32_t unit) {
  lend_unit(unit, nullptr);
  return std::move(units_[static_cast<size_t>(unit)]);
}

void Llava::lend_unit(int32_t unit, float* floats) {
  addresses_[static_cast<size_t>(unit)] = visible_[static_cast<size_t>(unit)] = floats;
  rebind_unit(weights_, table_, unit, visible_);
}

void Llava::check_whole() const {
  for (size_t unit = 0; unit < addresses_.size(); ++unit) {
    if (addresses_[unit] == nullptr && stored_[unit].empty() && table_.units()[unit].floats > 0) {
      fail(LLV_STATE, "the weights of '%s' lie in the ranks' shards: make a model of their parts",
           table_.units()[unit].name.c_str());
    }
  }
}

std::span<float> Llava::values(std::string_view name) {
  return values(table_.find(name));
}

std::span<float> Llava::values(const Parameter& parameter) {
  float* unit = addresses_[static_cast<size_t>(parameter.unit)];
  if (unit == nullptr) {
    fail(LLV_STATE, "'%s' lies in the ranks' shards: use llv_trainer_shard_read",
         parameter.name.c_str());
  }
  return {unit + parameter.offset, static_cast<size_t>(parameter.count)};
}

void Llava::write(std::string_view name, core::DType dtype, std::span<const int64_t> shape,
                  std::span<const std::byte> bytes) {
  const Parameter& parameter = table_.find(name);
  const int64_t expected = parameter.count * bytes_of(dtype);
  if (!std::ranges::equal(shape, shape_of(parameter))) {
    fail(LLV_SHAPE, "'%s' has shape %s, %s was given", parameter.name.c_str(),
         shape_text(shape_of(parameter)).c_str(), shape_text(shape).c_str());
  }
  if (static_cast<int64_t>(bytes.size()) != expected) {
    fail(LLV_SHAPE, "'%s' needs %lld bytes, %zu were given", parameter.name.c_str(),
         static_cast<long long>(expected), bytes.size());
  }
  check_writable(parameter);
  if (in_part(parameter)) {
    write_part(parameter, dtype, bytes.data());
    if (decomposed(parameter)) {
      const core::Buffer whole(engine_.ledger(), core::Purpose::kWorkspace, parameter.count);
      engine_.kernels().convert(whole.data(), bytes.data(), dtype, parameter.count);
      measure_rows(parameter, std::span(whole.data(), static_cast<size_t>(whole.floats())));
    }
    return;
  }
  if (StoredUnit& stored = stored_[static_cast<size_t>(parameter.unit)]; !stored.empty()) {
    close_unit();
    engine_.kernels().convert(working_.data(), bytes.data(), dtype, parameter.count);
    stored.write(engine_.kernels(), parameter, working_.data());
  } else {
    engine_.kernels().convert(values(parameter).data(), bytes.data(), dtype, parameter.count);
  }
  if (decomposed(parameter)) {
    measure_rows(parameter);
  }
}

bool Llava::in_part(const Parameter& parameter) const {
  const auto unit = static_cast<size_t>(parameter.unit);
  return addresses_[unit] == nullptr && parts_[unit].kept;
}

void Llava::write_part(const Parameter& parameter, core::DType dtype, const std::byte* bytes) {
  const Part& part = parts_[static_cast<size_t>(parameter.unit)];
  const int64_t begin = std::max(parameter.offset, part.begin);
  const int64_t end = std::min(parameter.offset + parameter.count, part.begin + part.count);
  if (begin < end) {
    engine_.kernels().convert(part.data + (begin - part.begin),
                              bytes + (begin - parameter.offset) * bytes_of(dtype), dtype,
                              end - begin);
  }
}

void Llava::read(std::string_view name, std::span<float> out) {
  const Parameter& parameter = table_.find(name);
  check_count(parameter, static_cast<int64_t>(out.size()));
  if (const StoredUnit& stored = stored_[static_cast<size_t>(parameter.unit)]; !stored.empty()) {
    stored.read(engine_.kernels(), parameter, out.data());
    return;
  }
  std::ranges::copy(values(parameter), out.begin());
}

void Llava::fill(std::string_view name, int32_t fill, double a, double b, int64_t seed) {
  const Parameter& parameter = table_.find(name);
  check_fill(fill, a, b);
  check_writable(parameter);
  core::Buffer whole;  // A part is cut out of what is drawn.
  if (in_part(parameter)) {
    whole = core::Buffer(engine_.ledger(), core::Purpose::kWorkspace, parameter.count);
  }
  StoredUnit& stored = stored_[static_cast<size_t>(parameter.unit)];
  if (!stored.empty()) {
    close_unit();
  }
  const auto count = static_cast<size_t>(parameter.count);
  const std::span<float> out = whole.floats() > 0 ? std::span(whole.data(), count)
                               : stored.empty()   ? values(parameter)
                                                  : std::span(working_.data(), count);
  if (fill == LLV_FILL_CONSTANT) {
    engine_.kernels().fill(core::dense(out.data(), 1, parameter.count), static_cast<float>(a));
  } else if (fill == LLV_FILL_NORMAL) {
    fill_normal(out, stream_key(seed, name), a, b);
  } else {
    fill_uniform(out, stream_key(seed, name), a, b);
  }
  if (whole.floats() > 0) {
    write_part(parameter, core::DType::kFloat32, std::as_bytes(out).data());
  } else if (!stored.empty()) {
    stored.write(engine_.kernels(), parameter, out.data());
  }
  if (decomposed(parameter) && whole.floats() > 0) {
    measure_rows(parameter, out);
  } else if (decomposed(parameter)) {
    measure_rows(parameter);
  }
}

void Llava::set_trainable(int32_t unit_kinds) {
  if ((unit_kinds & ~kAllUnits) != 0) {
    fail(LLV_INVALID, "the unit kinds are 0x%x: only bits of 0x%x exist",
         static_cast<unsigned>(unit_kinds), static_cast<unsigned>(kAllUnits));
  }
  for (int32_t unit = 0; unit < static_cast<int32_t>(table_.units().size()); ++unit) {
    const Unit& row = table_.units()[static_cast<size_t>(unit)];
    if ((row.kind & unit_kinds) != 0 && unit_storage(unit) > Storage::kBFloat16) {
      fail(LLV_UNSUPPORTED, "'%s' is stored as %s: it cannot train", row.name.c_str(),
           storage_name(unit_storage(unit)));
    }
  }
  bool changed = false;
  for (int32_t unit = 0; unit < static_cast<int32_t>(table_.units().size()); ++unit) {
    const Unit& row = table_.units()[static_cast<size_t>(unit)];
    const bool master = (row.kind & unit_kinds) != 0;
    const bool is_master = stored_[static_cast<size_t>(unit)].empty();
    if (unit_storage(unit) == Storage::kBFloat16 && row.floats > 0 && master != is_master) {
      set_master(unit, master);
      changed = true;
    }
  }
  trainable_ = unit_kinds;
  if (changed) {
    bind();
  }
}

}  // namespace llavasharp::model
