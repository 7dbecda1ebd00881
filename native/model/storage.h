// How weights that do not train are stored: as float32, or in fewer bits, from which a pass makes
// float32 in a working buffer as it comes to their unit.
//
// As bitsandbytes has it, four or eight bits are for the decoder layers' linears; their norms stay
// float32, and everything else is float32 or bfloat16. What trains is float32: a master, of which a
// pass sees the nearest bfloat16 where bfloat16 is asked for. Adapters are float32 throughout.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/kernels.h"
#include "core/memory.h"
#include "model/parameters.h"

namespace llavasharp::model {

// llv_storage
enum class Storage : int32_t {
  kFloat32 = 0,
  kBFloat16 = 1,
  kInt8 = 2,
  kNf4 = 3,
  kNf4Double = 4,
  kFp4 = 5,
  kFp4Double = 6
};

// "bfloat16", "nf4", …
[[nodiscard]] const char* storage_name(Storage storage);

// Of a parameter; of a unit's matrices.
[[nodiscard]] Storage storage_of(const Config& config, const Parameter& parameter);
[[nodiscard]] Storage storage_of(const Config& config, const Unit& unit);

// Whether some unit is not float32 as it lies: a model of such units has a working buffer, of the
// largest of them.
[[nodiscard]] int64_t working_floats(const Config& config, const ParameterTable& table);

// A unit's weights in fewer bits, all zero at first.
class StoredUnit {
 public:
  StoredUnit() = default;
  StoredUnit(const Config& config, const ParameterTable& table, int32_t unit,
             std::shared_ptr<core::MemoryLedger> ledger);
  // Bytes that it takes.
  [[nodiscard]] static int64_t bytes(const Config& config, const ParameterTable& table,
                                     int32_t unit);
  [[nodiscard]] bool empty() const { return buffer_.floats() == 0; }

  // A parameter's values in, encoded. Throws LLV_INVALID where they are not finite, but for
  // bfloat16, which can hold that.
  void write(const backend::Kernels& kernels, const Parameter& parameter, const float* values);
  // What a pass computes with.
  void read(const backend::Kernels& kernels, const Parameter& parameter, float* values) const;
  // All of them, where the unit's floats belong.
  void open(const backend::Kernels& kernels, float* floats) const;

 private:
  // A parameter's place, in bytes from the start of the buffer.
  struct Place {
    const Parameter* parameter;
    Storage storage;
    int64_t codes;
    int64_t scales;      // Floats, or bytes with magnitudes behind them.
    int64_t magnitudes;  // 0: none.
    int64_t end;
  };
  [[nodiscard]] static Place place(const Parameter& parameter, Storage storage, int64_t begin);
  [[nodiscard]] const Place& find(const Parameter& parameter) const;
  [[nodiscard]] std::byte* at(int64_t offset) const {
    return reinterpret_cast<std::byte*>(buffer_.data()) + offset;
  }
  [[nodiscard]] backend::FourBits four_bits(const Place& place) const;
  void decode(const backend::Kernels& kernels, const Place& place, float* values) const;

  std::vector<Place> places_;  // The table's rows outlive it.
  core::Buffer buffer_;
};

}  // namespace llavasharp::model
