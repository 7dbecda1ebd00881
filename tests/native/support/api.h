// The C ABI with owning handles and vectors, as tests use it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "include/llavasharp.h"

namespace llavasharp::test {

struct Release {
  void operator()(llv_engine* handle) const { llv_engine_release(handle); }
  void operator()(llv_model* handle) const { llv_model_release(handle); }
  void operator()(llv_trainer* handle) const { llv_trainer_release(handle); }
  void operator()(llv_generator* handle) const { llv_generator_release(handle); }
  void operator()(llv_communicator* handle) const { llv_communicator_release(handle); }
};
using Engine = std::unique_ptr<llv_engine, Release>;
using Model = std::unique_ptr<llv_model, Release>;
using Trainer = std::unique_ptr<llv_trainer, Release>;
using Communicator = std::unique_ptr<llv_communicator, Release>;
using Generator = std::unique_ptr<llv_generator, Release>;

inline void ok(llv_status status) {
  ASSERT_EQ(status, LLV_OK) << llv_error_message();
}

inline Engine make_engine(int32_t threads = 1) {
  llv_engine_options options;
  ok(llv_engine_options_init(&options));
  options.threads = threads;
  llv_engine* engine = nullptr;
  ok(llv_engine_create(&options, &engine));
  return Engine(engine);
}

inline Model make_model(const Engine& engine, const llv_model_config& config) {
  llv_model* model = nullptr;
  ok(llv_model_create(engine.get(), &config, &model));
  return Model(model);
}

inline Trainer make_trainer(const Model& model) {
  llv_trainer_options options;
  ok(llv_trainer_options_init(&options));
  llv_trainer* trainer = nullptr;
  ok(llv_trainer_create(model.get(), &options, &trainer));
  return Trainer(trainer);
}

inline Generator make_generator(const Model& model) {
  llv_generator* generator = nullptr;
  ok(llv_generator_create(model.get(), &generator));
  return Generator(generator);
}

inline std::vector<llv_parameter> table_of(const Model& model) {
  int64_t count = 0;
  ok(llv_model_parameter_count(model.get(), &count));
  std::vector<llv_parameter> rows(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    ok(llv_model_parameter_get(model.get(), i, &rows[static_cast<size_t>(i)]));
  }
  return rows;
}

inline std::vector<float> read(const Model& model, const llv_parameter& row) {
  std::vector<float> values(static_cast<size_t>(row.count));
  ok(llv_model_parameter_read(model.get(), row.name, values.data(), row.count));
  return values;
}

inline void write(const Model& model, const llv_parameter& row, const std::vector<float>& values) {
  ok(llv_model_parameter_write(model.get(), row.name, LLV_FLOAT32, row.shape, row.rank,
                               values.data(), static_cast<int64_t>(values.size() * sizeof(float))));
}

inline std::vector<float> read_slot(const Trainer& trainer, int32_t slot,
                                    const llv_parameter& row) {
  std::vector<float> values(static_cast<size_t>(row.count));
  ok(llv_trainer_slot_read(trainer.get(), slot, row.name, values.data(), row.count));
  return values;
}

// A micro-batch that owns its arrays.
struct Batch {
  std::vector<int32_t> tokens, labels, positions, cu_seqlens{0}, image_slots;
  std::vector<float> pixels;

  // Appends a sample; its positions are its token indices.
  void add(const std::vector<int32_t>& sample_tokens, const std::vector<int32_t>& sample_labels) {
    tokens.insert(tokens.end(), sample_tokens.begin(), sample_tokens.end());
    labels.insert(labels.end(), sample_labels.begin(), sample_labels.end());
    for (size_t t = 0; t < sample_tokens.size(); ++t) {
      positions.push_back(static_cast<int32_t>(t));
    }
    cu_seqlens.push_back(static_cast<int32_t>(tokens.size()));
  }
  // Appends an image whose rows replace the run's tokens from `first` on.
  void add_image(const std::vector<float>& image, int32_t first, int64_t rows) {
    pixels.insert(pixels.end(), image.begin(), image.end());
    for (int64_t row = 0; row < rows; ++row) {
      image_slots.push_back(first + static_cast<int32_t>(row));
    }
  }
  [[nodiscard]] int64_t samples() const { return static_cast<int64_t>(cu_seqlens.size()) - 1; }
  // Valid while this is unchanged.
  [[nodiscard]] llv_batch view() const {
    const auto count = [](const auto& values) { return static_cast<int64_t>(values.size()); };
    llv_batch batch;
    ok(llv_batch_init(&batch));
    batch.tokens = tokens.data();
    batch.tokens_count = count(tokens);
    batch.labels = labels.data();
    batch.labels_count = count(labels);
    batch.positions = positions.data();
    batch.positions_count = count(positions);
    batch.cu_seqlens = cu_seqlens.data();
    batch.cu_seqlens_count = count(cu_seqlens);
    batch.image_slots = image_slots.data();
    batch.image_slots_count = count(image_slots);
    batch.pixels = pixels.data();
    batch.pixels_count = count(pixels);
    return batch;
  }
};

inline llv_loss accumulate(const Trainer& trainer, const Batch& batch, double scale) {
  const llv_batch view = batch.view();
  llv_loss loss{};
  ok(llv_trainer_accumulate(trainer.get(), &view, scale, &loss));
  return loss;
}

inline std::vector<double> losses_of(const Model& model, const Batch& batch) {
  const llv_batch view = batch.view();
  std::vector<double> losses(static_cast<size_t>(batch.samples()));
  std::vector<int64_t> tokens(losses.size());
  ok(llv_model_loss_run(model.get(), &view, losses.data(), batch.samples(), tokens.data(),
                        batch.samples()));
  return losses;
}

inline std::vector<float> logits_of(const Model& model, const Batch& batch,
                                    const std::vector<int32_t>& rows, int64_t vocabulary) {
  const llv_batch view = batch.view();
  std::vector<float> logits(rows.size() * static_cast<size_t>(vocabulary));
  ok(llv_model_logits_run(model.get(), &view, rows.data(), static_cast<int64_t>(rows.size()),
                          logits.data(), static_cast<int64_t>(logits.size())));
  return logits;
}

// ‖ours - reference‖ / ‖reference‖; ‖ours‖ where the reference is (nearly) zero.
inline double relative_error(const std::vector<float>& ours, const std::vector<float>& reference) {
  EXPECT_EQ(ours.size(), reference.size());
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < ours.size() && i < reference.size(); ++i) {
    const double d = static_cast<double>(ours[i]) - static_cast<double>(reference[i]);
    difference += d * d;
    norm += static_cast<double>(reference[i]) * static_cast<double>(reference[i]);
  }
  return norm < 1e-24 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

}  // namespace llavasharp::test
