// The order in which a pass comes to the units, for who has to have them ready.
//
// Forward: embed, layer.0 … layer.N-1, head. Backward: head, layer.N-1 … layer.0, then embed,
// newline and projector where they train. The order is the same whatever a batch holds; a pass that
// needs no backward leaves it out. A layer's adapters come with it.
#pragma once

#include <cstdint>

namespace llavasharp::model {

enum class Pass : int32_t { kForward, kBackward };

class UnitOrder {
 public:
  UnitOrder() = default;
  UnitOrder(const UnitOrder&) = delete;
  UnitOrder& operator=(const UnitOrder&) = delete;
  UnitOrder(UnitOrder&&) = delete;
  UnitOrder& operator=(UnitOrder&&) = delete;
  // The unit's weights, and in backward its gradients, are used from now on.
  virtual void reach(Pass pass, int32_t unit) = 0;

 protected:
  ~UnitOrder() = default;
};

}  // namespace llavasharp::model
