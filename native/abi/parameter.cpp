// llv_model_parameter_*.
#include <algorithm>

#include "abi/checks.h"
#include "abi/guard.h"
#include "abi/objects.h"
#include "include/llavasharp.h"

namespace abi = llavasharp::abi;
namespace core = llavasharp::core;

llv_status llv_model_parameter_count(llv_model* model, int64_t* out_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    abi::require(out_count, "out_count");
    *out_count = static_cast<int64_t>(inside->model.table().parameters().size());
  });
}

llv_status llv_model_parameter_get(llv_model* model, int64_t index, llv_parameter* out_parameter) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    abi::require(out_parameter, "out_parameter");
    const auto& parameters = inside->model.table().parameters();
    if (index < 0 || index >= static_cast<int64_t>(parameters.size())) {
      core::fail(LLV_INVALID, "index is %lld: the table has rows 0 to %zu",
                 static_cast<long long>(index), parameters.size() - 1);
    }
    const llavasharp::model::Parameter& row = parameters[static_cast<size_t>(index)];
    *out_parameter = {.name = row.name.c_str(),
                      .unit_kind = row.unit_kind,
                      .unit = row.unit,
                      .rank = row.rank,
                      .decay = row.decay ? 1 : 0,
                      .trainable = inside->model.trains(row.unit_kind) ? 1 : 0,
                      .reserved = 0,
                      .shape = {},
                      .count = row.count,
                      .offset = row.offset};
    std::ranges::copy(row.shape, out_parameter->shape);
  });
}

llv_status llv_model_parameter_write(llv_model* model, const char* name, int32_t dtype,
                                     const int64_t* shape, int64_t shape_count, const void* bytes,
                                     int64_t bytes_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    abi::require(name, "name");
    inside->model.write(name, static_cast<core::DType>(dtype),
                        abi::span_of(shape, shape_count, "shape"),
                        abi::span_of(static_cast<const std::byte*>(bytes), bytes_count, "bytes"));
  });
}

llv_status llv_model_parameter_read(llv_model* model, const char* name, float* out_values,
                                    int64_t values_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    abi::require(name, "name");
    inside->model.read(name, abi::span_of(out_values, values_count, "values"));
  });
}

llv_status llv_model_parameter_fill(llv_model* model, const char* name, int32_t fill, double a,
                                    double b, int64_t seed) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    abi::require(name, "name");
    inside->model.fill(name, fill, a, b, seed);
  });
}
