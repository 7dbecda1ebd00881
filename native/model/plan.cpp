#include "model/plan.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "core/gemm.h"
#include "core/memory.h"
#include "layers/loss.h"
#include "model/decoder.h"
#include "model/parameters.h"
#include "model/storage.h"
#include "model/tape.h"
#include "model/vision_tower.h"

namespace llavasharp::model {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);

// Takes as run_gradients and what it calls do; each function beside its namesake's order.
class Walk {
 public:
  Walk(const Config& config, const Workload& work)
      : config_(config),
        c_(config.get()),
        work_(work),
        rank_(work.lora_rank),
        image_rows_(work.images * config.image_rows()) {
    const auto trains = [&](int32_t kind) { return (work.units & kind) != 0; };
    tower_ = trains(LLV_UNIT_VISION) && image_rows_ > 0;
    projector_ = trains(LLV_UNIT_PROJECTOR) && image_rows_ > 0 && config.projector_linears() > 0;
    images_ = tower_ || projector_;
    weights_ = trains(LLV_UNIT_LAYER) || trains(LLV_UNIT_LORA);
    backward_ = weights_ || images_ || trains(LLV_UNIT_EMBED) ||
                (trains(LLV_UNIT_NEWLINE) && c_.image_newline != 0 && image_rows_ > 0);
    head_gradient_ = backward_ || trains(LLV_UNIT_HEAD);
  }

  [[nodiscard]] int64_t floats() {
    const int64_t t = work_.tokens;
    const int64_t r = work_.supervised;
    const int64_t d = c_.hidden;
    ints({work_.samples + 1, work_.images * config_.image_rows()});  // What runs at once.
    ints({r, r, r, work_.samples + 1, r, r});                        // Supervised rows.
    ints({work_.samples + 1, work_.samples, t, t});                  // Packing.
    tape_.take(r, d);                                                // hidden
    tape_.take(r, d);                                                // dhidden
    tape_.take(backward_ ? t : 0, d);                                // dx
    inputs();
    tape_.take_bytes(backward_ ? c_.layers * static_cast<int64_t>(sizeof(DecoderLayerSaved)) : 0);
    std::vector<int64_t> begins;
    for (int32_t i = 0; i < c_.layers; ++i) {
      begins.push_back(tape_.mark());
      forward(i);
    }
    head();
    for (int32_t i = c_.layers; backward_ && i-- > 0;) {
      backward(i);
      tape_.rewind(begins[static_cast<size_t>(i)]);
    }
    if (images_) {
      images_backward();
    }
    return tape_.high();
  }

 private:
  [[nodiscard]] bool last(int32_t layer) const { return layer + 1 == c_.layers; }
  [[nodiscard]] bool recomputed(int32_t layer) const {
    return backward_ && layer < work_.recompute_layers && !last(layer);
  }
  [[nodiscard]] int64_t rows(int32_t layer) const {
    return last(layer) ? work_.supervised : work_.tokens;
  }
  void ints(std::initializer_list<int64_t> counts) {
    for (const int64_t count : counts) {
      tape_.take(1, count);
    }
  }
  // What is taken and given back.
  template <typename Body>
  void scratch(Body&& body) {
    const int64_t mark = tape_.mark();
    body();
    tape_.rewind(mark);
  }
  // What an adapter group keeps: its linears give `outs` columns.
  void take_adapted(int64_t n, std::initializer_list<int64_t> outs) {
    const int64_t width = std::accumulate(outs.begin(), outs.end(), int64_t{0});
    tape_.take(n, static_cast<int64_t>(outs.size()) * rank_);
    tape_.take(work_.lora_decomposed ? n : 0, width);
    tape_.take(work_.lora_decomposed ? 3 : 0, width);
  }
  // Its forward, from an input of `in` columns.
  void adapted(int64_t n, int64_t in, std::initializer_list<int64_t> outs) {
    if (rank_ == 0) {
      return;
    }
    for (const int64_t out : outs) {
      if (work_.lora_decomposed) {
        scratch([&] {
          tape_.take(out, rank_);
          tape_.take(rank_, rank_);
          tape_.take(1, out);
        });
      }
    }
    scratch([&] { tape_.take(n, in); });
  }

  void inputs() {
    const int64_t mark_rows = work_.images * config_.image_rows();
    ints({work_.tokens, mark_rows, mark_rows});
    if (c_.image_newline != 0 && image_rows_ > 0) {
      ints({work_.tokens});
    }
    tape_.take(work_.tokens, c_.hidden);  // x
    if (image_rows_ == 0) {
      return;
    }
    const int64_t mark = tape_.mark();
    tape_.take(image_rows_, c_.vision_hidden);  // features
    scratch([&] { tower(); });
    const int64_t linears = config_.projector_linears();
    if (images_) {
      tape_.take_bytes(linears * static_cast<int64_t>(sizeof(View)));
      tape_.take_bytes(linears * static_cast<int64_t>(sizeof(View)));
    }
    for (int64_t i = 0; i < linears; ++i) {
      tape_.take(image_rows_, c_.hidden);
      if (images_ && i + 1 < linears) {
        tape_.take(image_rows_, c_.hidden);  // Before GELU.
      }
    }
    if (!images_) {
      tape_.rewind(mark);
    }
  }
  void tower() {
    const int64_t sequence = 1 + config_.patches();
    const int64_t images = std::min(work_.images, vision_chunk_images(config_));
    const int64_t n = images * sequence;
    ints({images * config_.image_rows()});
    tape_.take(n, c_.vision_hidden);
    place(images);
    ints({images + 1, images});
    if (config_.vision_layers_run() > 0) {
      tower_layer(n);
    }
  }
  void place(int64_t images) {
    scratch([&] {
      tape_.take(images * config_.patches(), int64_t{3} * c_.patch_size * c_.patch_size);
      tape_.take(images * config_.patches(), c_.vision_hidden);
      ints({images * config_.patches()});
    });
  }
  void tower_layer(int64_t n) {
    scratch([&] {
      tape_.take(n, c_.vision_hidden);
      tape_.take(n, int64_t{3} * c_.vision_hidden);
      tape_.take(n, c_.vision_intermediate);
    });
  }
  void tower_layer_backward(int64_t n) {
    const int64_t width = c_.vision_hidden;
    scratch([&] {
      tape_.take(n, width);
      tape_.take(n, 3 * width);
      tape_.take(n, width);
      tape_.take(n, c_.vision_heads);
      tape_.take(n, width);
      scratch([&] {
        tape_.take(n, width);
        tape_.take(n, c_.vision_intermediate);
        tape_.take(n, c_.vision_intermediate);
        tape_.take(2, n);
      });
      tape_.take(n, 3 * width);
      tape_.take(2, n);
    });
  }
  void tower_backward() {
    const int64_t images = std::min(work_.images, vision_chunk_images(config_));
    const int64_t n = images * (1 + config_.patches());
    const int64_t layers = config_.vision_layers_run();
    ints({images * config_.image_rows()});
    tape_.take(n, c_.vision_hidden);
    tape_.take(n, c_.vision_hidden);
    tape_.take(std::max<int64_t>(layers, 1) * n, c_.vision_hidden);
    place(images);
    ints({images + 1, images});
    if (layers > 1) {
      tower_layer(n);
    }
    if (layers > 0) {
      tower_layer_backward(n);
    }
    scratch([&] { tape_.take(2, n); });
    place(images);
  }

  void normed(int64_t n, bool selected) {
    tape_.take(work_.tokens, c_.hidden);
    tape_.take(selected ? n : 0, c_.hidden);
  }
  void attention(int64_t n, bool selected, bool kept) {
    const int64_t t = work_.tokens;
    const int64_t start = tape_.mark();
    tape_.take(1, t);
    tape_.take(t, config_.query_width() + config_.key_value_width());
    tape_.take(selected ? n : 0, config_.query_width());
    tape_.take(n, config_.query_width());
    tape_.take(kept ? n : 0, c_.heads);
    const int64_t queries = config_.query_width();
    const int64_t keys = config_.key_value_width() / 2;
    if (selected) {
      take_adapted(t, {keys, keys});
      take_adapted(n, {queries});
    } else {
      take_adapted(t, {queries, keys, keys});
    }
    take_adapted(n, {c_.hidden});
    scratch([&] {
      normed(n, selected);
      adapted(t, c_.hidden, {queries, keys, keys});
    });
    adapted(n, queries, {c_.hidden});
    if (!kept) {
      tape_.rewind(start);
    }
  }
  void mlp(int64_t n, bool kept) {
    const int64_t start = tape_.mark();
    tape_.take(1, n);
    tape_.take(n, int64_t{2} * c_.intermediate);
    take_adapted(n, {c_.intermediate, c_.intermediate});
    take_adapted(n, {c_.hidden});
    scratch([&] {
      tape_.take(n, c_.hidden);
      tape_.take(n, c_.intermediate);
      adapted(n, c_.hidden, {c_.intermediate, c_.intermediate});
      adapted(n, c_.intermediate, {c_.hidden});
    });
    if (!kept) {
      tape_.rewind(start);
    }
  }
  void forward(int32_t layer) {
    const int64_t n = rows(layer);
    const bool kept = backward_ && !recomputed(layer);
    if (backward_) {
      tape_.take(n, c_.hidden);  // After attention, or the layer's output where that is all.
      tape_.take(last(layer) || recomputed(layer) ? 0 : n, c_.hidden);
    }
    attention(n, last(layer), kept);
    mlp(n, kept);
  }
  void head() {
    const int64_t r = work_.supervised;
    scratch([&] {
      tape_.take(1, 2 * r);
      tape_.take(r, c_.hidden);
      tape_.take(head_gradient_ ? r : 0, c_.hidden);
      tape_.take(1, r);
      tape_.take(std::min(layers::kLossChunkRows, r), c_.vocabulary);
    });
  }
  // An adapter group's backward: so many adapters from `in` columns to `out` together.
  void adapters(int64_t n, int64_t count, int64_t in, int64_t out) {
    if (rank_ > 0) {
      scratch([&] {
        tape_.take(n, count * rank_);
        tape_.take(work_.lora_decomposed ? n : 0, out);
        tape_.take(n, in);
      });
    }
  }
  void backward(int32_t layer) {
    const int64_t n = rows(layer);
    const int64_t t = work_.tokens;
    const int64_t d = c_.hidden;
    const int64_t queries = config_.query_width();
    if (recomputed(layer)) {
      tape_.take(t, d);
      attention(n, false, true);
      mlp(n, true);
    }
    scratch([&] {
      tape_.take(n, c_.intermediate);
      adapters(n, 1, c_.intermediate, d);
    });
    scratch([&] {
      tape_.take(n, d);
      tape_.take(weights_ ? n : 0, d);
      adapters(n, 2, d, int64_t{2} * c_.intermediate);
    });
    scratch([&] {
      tape_.take(t, queries + config_.key_value_width());
      tape_.take(last(layer) ? n : 0, queries);
      scratch([&] {
        tape_.take(n, queries);
        adapters(n, 1, queries, d);
      });
      tape_.take(t, d);
      if (weights_) {
        normed(n, last(layer));
      }
      const int64_t keys_values = config_.key_value_width();
      adapters(t, last(layer) ? 2 : 3, d, keys_values + (last(layer) ? 0 : queries));
      if (last(layer)) {
        tape_.take(n, d);
        adapters(n, 1, d, queries);
      }
    });
  }
  void images_backward() {
    tape_.take(tower_ ? image_rows_ : 0, c_.vision_hidden);
    scratch([&] {
      tape_.take(image_rows_, c_.hidden);
      for (int32_t i = 1; i < config_.projector_linears(); ++i) {
        tape_.take(image_rows_, c_.hidden);
      }
    });
    if (tower_) {
      tower_backward();
    }
  }

  const Config& config_;
  const llv_model_config& c_;
  const Workload& work_;
  int64_t rank_;
  int64_t image_rows_;
  bool tower_ = false;  // Reached by backward, as the next.
  bool projector_ = false;
  bool images_ = false;  // One of them.
  bool weights_ = false;
  bool backward_ = false;
  bool head_gradient_ = false;
  Tape tape_;
};

// What attention's backward needs a thread at most: the longest sample is all but one token of
// each other.
int64_t attention_floats(const llv_model_config& c, const Workload& work) {
  const int64_t keys = work.tokens - work.samples + 1 + 96;
  const int64_t dim = (c.head_dim + 15) / 16 * 16;
  return dim * (5 * keys + 3 * 48) + 2 * 48 * 96;
}

}  // namespace

ParameterTable planned_table(const Config& config, const Workload& work) {
  ParameterTable table(config);
  if (work.lora_rank > 0) {
    const LoraOptions lora{.rank = work.lora_rank, .alpha = 1, .decomposed = work.lora_decomposed};
    std::vector<std::string> linears;
    for (const Parameter& row : table.parameters()) {
      if (row.unit_kind == LLV_UNIT_LAYER && row.rank == 2) {
        linears.push_back(row.name);
      }
    }
    for (const std::string& name : linears) {
      table.add_lora(name, lora);
    }
  }
  return table;
}

Plan plan_step(const Config& config, const Workload& work) {
  check_workload(config, work);
  Plan plan;
  const ParameterTable table = planned_table(config, work);
  for (size_t i = 0; i < table.units().size(); ++i) {
    const Unit& unit = table.units()[i];
    const int64_t bytes = unit.floats * kFloatBytes;
    const bool trains = (work.units & unit.kind) != 0;
    const bool stored = !trains && storage_of(config, unit) != Storage::kFloat32;
    plan.parameters += stored ? StoredUnit::bytes(config, table, static_cast<int32_t>(i)) : bytes;
    plan.gradients += trains ? bytes : 0;
  }
  plan.parameters += working_floats(config, table) * kFloatBytes;
  plan.optimizer = 2 * plan.gradients;
  plan.workspace = Walk(config, work).floats() * kFloatBytes;
  plan.scratch = (core::kGemmScratchFloats + work.threads * attention_floats(config.get(), work)) *
                 kFloatBytes;
  return plan;
}

}  // namespace llavasharp::model
