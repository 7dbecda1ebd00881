// Has the weights of units that are stored in fewer bits in float32 as a pass comes to them.
#pragma once

#include "model/llava.h"
#include "model/unit_order.h"

namespace llavasharp::model {

// For the length of a pass. `next`, which may be null, is told first.
class OpenUnits final : public UnitOrder {
 public:
  // What was open before may have changed since.
  explicit OpenUnits(Llava& model, UnitOrder* next = nullptr) : model_(model), next_(next) {
    model.close_unit();
  }
  void reach(Pass pass, int32_t unit) override {
    if (next_ != nullptr) {
      next_->reach(pass, unit);
    }
    const int32_t kind = model_.table().units()[static_cast<size_t>(unit)].kind;
    const bool reads_none =  // Their backward scatters rows.
        pass == Pass::kBackward && (kind == LLV_UNIT_EMBED || kind == LLV_UNIT_NEWLINE);
    if (!reads_none) {
      model_.open_unit(unit);
    }
  }

 private:
  Llava& model_;
  UnitOrder* next_;
};

}  // namespace llavasharp::model
