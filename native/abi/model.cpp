// llv_model_*, but for its parameters.
#include "abi/batch.h"
#include "abi/checks.h"
#include "abi/guard.h"
#include "abi/log.h"
#include "abi/objects.h"
#include "include/llavasharp.h"
#include "model/config.h"
#include "model/passes.h"

namespace abi = llavasharp::abi;
namespace core = llavasharp::core;
namespace model_ns = llavasharp::model;

llv_status llv_model_config_init(llv_model_config* out_config) {
  return abi::guard([&] {
    abi::require(out_config, "out_config");
    *out_config = model_ns::default_config();
  });
}

llv_status llv_model_create(llv_engine* engine, const llv_model_config* config,
                            llv_model** out_model) {
  return abi::guard([&] {
    const auto inside = abi::enter(engine, "engine");
    abi::require_options(config, "config");
    abi::require(out_model, "out_model");
    auto object = std::make_shared<abi::ModelObject>(inside.share(), model_ns::Config(*config));
    int64_t elements = 0;
    for (const model_ns::Parameter& parameter : object->model.table().parameters()) {
      elements += parameter.count;
    }
    abi::log(LLV_LOG_INFO, "model: %lld parameters in %zu tensors and %zu units",
             static_cast<long long>(elements), object->model.table().parameters().size(),
             object->model.table().units().size());
    *out_model = new llv_model(std::move(object));
  });
}

void llv_model_release(llv_model* model) {
  abi::release(model);
}

llv_status llv_model_trainable_set(llv_model* model, int32_t unit_kinds) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    if (inside->has_trainer) {
      core::fail(LLV_STATE, "a trainer exists: release it before choosing what trains");
    }
    inside->model.set_trainable(unit_kinds);
  });
}

llv_status llv_model_vision_run(llv_model* model, const float* pixels, int64_t pixels_count,
                                float* out_features, int64_t features_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    model_ns::run_vision(inside->model, abi::span_of(pixels, pixels_count, "pixels"),
                         abi::span_of(out_features, features_count, "features"));
  });
}

llv_status llv_model_project_run(llv_model* model, const float* pixels, int64_t pixels_count,
                                 float* out_features, int64_t features_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    model_ns::run_projected(inside->model, abi::span_of(pixels, pixels_count, "pixels"),
                            abi::span_of(out_features, features_count, "features"));
  });
}

llv_status llv_model_logits_run(llv_model* model, const llv_batch* batch, const int32_t* rows,
                                int64_t rows_count, float* out_logits, int64_t logits_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    model_ns::run_logits(inside->model, abi::batch_of(batch),
                         abi::span_of(rows, rows_count, "rows"),
                         abi::span_of(out_logits, logits_count, "logits"));
  });
}

llv_status llv_model_loss_run(llv_model* model, const llv_batch* batch, double* out_loss,
                              int64_t loss_count, int64_t* out_tokens, int64_t tokens_count) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    model_ns::run_loss(inside->model, abi::batch_of(batch),
                       abi::span_of(out_loss, loss_count, "loss"),
                       abi::span_of(out_tokens, tokens_count, "tokens"));
  });
}
