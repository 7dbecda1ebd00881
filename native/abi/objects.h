// What the opaque handles of llavasharp.h own. A child holds its parent, so that handles may be
// released in any order.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "abi/checks.h"
#include "abi/guard.h"
#include "model/engine.h"
#include "model/generator/generator.h"
#include "model/llava.h"
#include "train/communicator.h"
#include "train/trainer.h"

namespace llavasharp::abi {

struct EngineObject {
  EngineObject(int32_t device, int32_t threads) : engine(device, threads) {}
  Alive alive;
  Gate gate;
  model::Engine engine;
};

struct ModelObject {
  ModelObject(std::shared_ptr<EngineObject> parent, const model::Config& config)
      : engine(std::move(parent)), model(engine->engine, config) {}
  Alive alive;
  std::shared_ptr<EngineObject> engine;
  model::Llava model;
  bool has_trainer = false;
};

struct CommunicatorObject {
  Alive alive;
  int32_t kind = 0;
  std::mutex mutex;  // Held by whoever gathers.
  std::shared_ptr<train::Communicator> communicator;
};

struct TrainerObject {
  TrainerObject(std::shared_ptr<ModelObject> parent, const train::AdamWOptions& options)
      : model(std::move(parent)), trainer(model->model, options) {
    model->has_trainer = true;
  }
  TrainerObject(std::shared_ptr<ModelObject> parent, const train::AdamWOptions& options,
                const train::ZeroOptions& zero, std::shared_ptr<CommunicatorObject> ranks,
                std::span<const llv_zero_step> steps)
      : model(std::move(parent)),
        communicator(std::move(ranks)),
        trainer(model->model, options, zero, communicator->communicator, steps) {
    model->has_trainer = true;
  }
  ~TrainerObject() { model->has_trainer = false; }
  TrainerObject(const TrainerObject&) = delete;
  TrainerObject& operator=(const TrainerObject&) = delete;
  TrainerObject(TrainerObject&&) = delete;
  TrainerObject& operator=(TrainerObject&&) = delete;

  Alive alive;
  std::shared_ptr<ModelObject> model;
  std::shared_ptr<CommunicatorObject> communicator;  // Null for a single process.
  train::Trainer trainer;
  std::vector<train::Group> groups;  // Of the last step: kept, so that a step allocates nothing.
};

struct GeneratorObject {
  explicit GeneratorObject(std::shared_ptr<ModelObject> parent)
      : model(std::move(parent)), generator(model->model) {}
  Alive alive;
  std::shared_ptr<ModelObject> model;
  model::Generator generator;
};

}  // namespace llavasharp::abi

struct llv_engine : llavasharp::abi::Handle {
  explicit llv_engine(std::shared_ptr<llavasharp::abi::EngineObject> owned)
      : object(std::move(owned)) {}
  std::shared_ptr<llavasharp::abi::EngineObject> object;
};
struct llv_model : llavasharp::abi::Handle {
  explicit llv_model(std::shared_ptr<llavasharp::abi::ModelObject> owned)
      : object(std::move(owned)) {}
  std::shared_ptr<llavasharp::abi::ModelObject> object;
};
struct llv_trainer : llavasharp::abi::Handle {
  explicit llv_trainer(std::shared_ptr<llavasharp::abi::TrainerObject> owned)
      : object(std::move(owned)) {}
  std::shared_ptr<llavasharp::abi::TrainerObject> object;
};
struct llv_communicator {
  std::shared_ptr<llavasharp::abi::CommunicatorObject> object;
};
struct llv_generator : llavasharp::abi::Handle {
  explicit llv_generator(std::shared_ptr<llavasharp::abi::GeneratorObject> owned)
      : object(std::move(owned)) {}
  std::shared_ptr<llavasharp::abi::GeneratorObject> object;
};

namespace llavasharp::abi {

inline std::shared_ptr<EngineObject> engine_of(const std::shared_ptr<EngineObject>& object) {
  return object;
}
inline std::shared_ptr<EngineObject> engine_of(const std::shared_ptr<ModelObject>& object) {
  return object->engine;
}
template <typename Object>  // A trainer or a generator.
std::shared_ptr<EngineObject> engine_of(const std::shared_ptr<Object>& object) {
  return object->model->engine;
}

// Being inside an engine, for the length of a call. Holds what the call works on, so that a
// release from a callback does not end it.
template <typename Object>
class Inside {
 public:
  explicit Inside(std::shared_ptr<Object> object)
      : object_(std::move(object)), engine_(engine_of(object_)) {
    engine_->gate.enter();
  }
  ~Inside() {
    object_.reset();  // Before leaving: its end has the engine to itself.
    engine_->gate.leave();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  Inside(Inside&&) = delete;
  Inside& operator=(Inside&&) = delete;

  Object* operator->() const { return object_.get(); }
  [[nodiscard]] const std::shared_ptr<Object>& share() const { return object_; }

 private:
  std::shared_ptr<Object> object_;
  std::shared_ptr<EngineObject> engine_;
};

// Enters the engine of a handle, which must not be null.
template <typename Handle>
auto enter(Handle* handle, const char* name) {
  require(handle, name);
  return Inside(handle->object);
}

// Ends a handle; null is harmless.
template <typename Handle>
void release(Handle* handle) noexcept {
  if (handle != nullptr) {
    const std::shared_ptr<EngineObject> engine = engine_of(handle->object);  // Outlives its gate.
    engine->gate.retire(handle);
  }
}

}  // namespace llavasharp::abi
