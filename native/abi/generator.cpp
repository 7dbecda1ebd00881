// llv_generator_*, llv_sampling_*.
#include "abi/batch.h"
#include "abi/checks.h"
#include "abi/guard.h"
#include "abi/objects.h"
#include "include/llavasharp.h"

namespace abi = llavasharp::abi;
namespace model_ns = llavasharp::model;

llv_status llv_sampling_init(llv_sampling* out_sampling) {
  return abi::guard([&] {
    abi::require(out_sampling, "out_sampling");
    const model_ns::Sampling defaults;
    *out_sampling = {.size = sizeof(llv_sampling),
                     .temperature = defaults.temperature,
                     .top_p = defaults.top_p,
                     .top_k = defaults.top_k,
                     .max_new_tokens = defaults.max_new_tokens,
                     .seed = defaults.seed};
  });
}

llv_status llv_generator_create(llv_model* model, llv_generator** out_generator) {
  return abi::guard([&] {
    const auto inside = abi::enter(model, "model");
    abi::require(out_generator, "out_generator");
    *out_generator = new llv_generator(std::make_shared<abi::GeneratorObject>(inside.share()));
  });
}

void llv_generator_release(llv_generator* generator) {
  abi::release(generator);
}

llv_status llv_generator_run(llv_generator* generator, const llv_batch* batch,
                             const llv_sampling* sampling, const int32_t* stop_tokens,
                             int64_t stop_tokens_count, int32_t* out_tokens, int64_t tokens_count,
                             int32_t* out_lengths, int64_t lengths_count, llv_token_fn callback,
                             void* user) {
  return abi::guard([&] {
    const auto inside = abi::enter(generator, "generator");
    abi::require_options(sampling, "sampling");
    const model_ns::Sampling own{.temperature = sampling->temperature,
                                 .top_p = sampling->top_p,
                                 .top_k = sampling->top_k,
                                 .max_new_tokens = sampling->max_new_tokens,
                                 .seed = sampling->seed};
    model_ns::TokenCallback on_token;
    if (callback != nullptr) {
      on_token = [=](int32_t sequence, int32_t token) {
        return callback(sequence, token, user) != 0;
      };
    }
    inside->generator.run(abi::batch_of(batch), own,
                          abi::span_of(stop_tokens, stop_tokens_count, "stop_tokens"),
                          abi::span_of(out_tokens, tokens_count, "tokens"),
                          abi::span_of(out_lengths, lengths_count, "lengths"), on_token);
  });
}
