#include "model/passes.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "layers/embedding.h"
#include "layers/loss.h"
#include "model/decoder.h"
#include "model/open_units.h"
#include "model/vision_tower.h"

namespace llavasharp::model {
namespace {

using core::fail;
using layers::Context;
using layers::Keep;
using layers::Scratch;

double* take_doubles(core::Arena& arena, int64_t count) {
  return static_cast<double*>(arena.take(1, 2 * count).data);
}

void check_values(const char* name, int64_t given, int64_t expected) {
  if (given != expected) {
    fail(LLV_SHAPE, "%s has room for %lld values, %lld are needed", name,
         static_cast<long long>(given), static_cast<long long>(expected));
  }
}

int64_t check_images(const Llava& model, std::span<const float> pixels) {
  const int64_t images = check_pixels(pixels, model.config());
  if (images == 0) {
    fail(LLV_INVALID, "pixels is empty: at least one image is needed");
  }
  return images;
}

// Has the weights of the one unit of a kind visible.
void open(Llava& model, int32_t kind) {
  model.open_unit(model.table().unit_of(kind));
}

// features [N·L, Dv], all rows.
void run_tower(Llava& model, std::span<const float> pixels, View features) {
  const Context context = model.engine().context();
  int32_t* rows = context.arena.take_ints(features.rows);
  std::iota(rows, rows + features.rows, 0);
  open(model, LLV_UNIT_VISION);
  vision_forward(context, model.config(), model.weights().vision, features, pixels, rows);
}

void check_labels(const Batch& batch) {
  if (batch.labels.empty()) {
    fail(LLV_INVALID, "labels is null: a loss needs labels");
  }
}

}  // namespace

Inputs make_inputs(Llava& model, const Batch& batch, bool keep_projector) {
  const Context context = model.engine().context();
  const Weights& weights = model.weights();
  const int64_t hidden = model.config().get().hidden;
  Inputs inputs;
  inputs.images = make_image_rows(batch, context.arena);
  inputs.x = context.arena.take(batch.count(), hidden);
  open(model, LLV_UNIT_EMBED);
  layers::embedding_forward(context, inputs.x, weights.embed, inputs.images.tokens);
  if (inputs.images.newlines != nullptr) {
    open(model, LLV_UNIT_NEWLINE);
    layers::embedding_forward(context, inputs.x, weights.newline, inputs.images.newlines);
  }
  if (inputs.images.count > 0) {
    const core::Arena::Mark mark = context.arena.mark();
    const View features =
        context.arena.take(inputs.images.count, model.config().get().vision_hidden);  // [F, Dv]
    open(model, LLV_UNIT_VISION);
    vision_forward(context, model.config(), weights.vision, features, batch.pixels,
                   inputs.images.rows);
    open(model, LLV_UNIT_PROJECTOR);
    const View projected = projector_forward(context, weights.projector, features,
                                             keep_projector ? &inputs.projector : nullptr);
    layers::splice_forward(context, inputs.x, projected, inputs.images.slots);
    if (!keep_projector) {
      context.arena.rewind(mark);
    }
  }
  return inputs;
}

void run_vision(Llava& model, std::span<const float> pixels, std::span<float> features) {
  const OpenUnits units(model);
  const Scratch scratch(model.engine().arena());
  const int64_t rows = check_images(model, pixels) * model.config().image_rows();
  const int64_t width = model.config().get().vision_hidden;
  check_values("features", static_cast<int64_t>(features.size()), rows * width);
  run_tower(model, pixels, core::dense(features.data(), rows, width));
}

void run_projected(Llava& model, std::span<const float> pixels, std::span<float> features) {
  const OpenUnits units(model);
  const Scratch scratch(model.engine().arena());
  const Context context = model.engine().context();
  const llv_model_config& c = model.config().get();
  const int64_t rows = check_images(model, pixels) * model.config().image_rows();
  check_values("features", static_cast<int64_t>(features.size()), rows * c.hidden);
  const View tower = context.arena.take(rows, c.vision_hidden);  // [N·L, Dv]
  run_tower(model, pixels, tower);
  open(model, LLV_UNIT_PROJECTOR);
  const View projected = projector_forward(context, model.weights().projector, tower, nullptr);
  context.kernels.copy(core::dense(features.data(), rows, c.hidden), projected);
}

void run_logits(Llava& model, const Batch& batch, std::span<const int32_t> rows,
                std::span<float> logits) {
  model.check_whole();
  check_batch(batch, model.config());
  const Scratch scratch(model.engine().arena());
  const Context context = model.engine().context();
  const llv_model_config& c = model.config().get();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= batch.count()) {
      fail(LLV_INVALID, "rows[%zu] is %d: must be 0 to %lld", i, rows[i],
           static_cast<long long>(batch.count() - 1));
    }
  }
  const auto count = static_cast<int64_t>(rows.size());
  check_values("logits", static_cast<int64_t>(logits.size()), count * c.vocabulary);
  if (count == 0) {
    return;
  }
  std::vector<int32_t> chosen(rows.begin(), rows.end());
  std::ranges::sort(chosen);
  chosen.erase(std::ranges::unique(chosen).begin(), chosen.end());
  std::vector<int32_t> order;  // Where each requested row is among the chosen ones.
  for (const int32_t row : rows) {
    order.push_back(static_cast<int32_t>(std::ranges::lower_bound(chosen, row) - chosen.begin()));
  }
  const layers::Selection selection = make_selection(batch, chosen, context.arena);
  const View hidden = context.arena.take(selection.count, c.hidden);
  const View requested = context.arena.take(count, c.hidden);
  OpenUnits units(model);
  const DecoderRun run{.packing = make_packing(batch, context.arena),
                       .selection = &selection,
                       .caches = {},
                       .keep = Keep::kNothing,
                       .order = &units};
  const Inputs inputs = make_inputs(model, batch, false);
  decoder_forward(context, model.config(), model.weights().layers, run, hidden, inputs.x, {});
  context.kernels.gather_rows(requested, hidden, order.data());
  open(model, LLV_UNIT_HEAD);
  layers::logits_forward(context, c.norm_eps, model.weights().head,
                         core::dense(logits.data(), count, c.vocabulary), requested);
}

void run_loss(Llava& model, const Batch& batch, std::span<double> losses,
              std::span<int64_t> tokens) {
  model.check_whole();
  check_batch(batch, model.config());
  check_labels(batch);
  check_values("loss", static_cast<int64_t>(losses.size()), batch.samples());
  check_values("tokens", static_cast<int64_t>(tokens.size()), batch.samples());
  const Scratch scratch(model.engine().arena());
  const Context context = model.engine().context();
  const Supervised supervised = make_supervised(batch, context.arena);
  const layers::Selection& selection = supervised.selection;
  double* row_losses = take_doubles(context.arena, selection.count);
  if (selection.count > 0) {
    const llv_model_config& c = model.config().get();
    const View hidden = context.arena.take(selection.count, c.hidden);
    OpenUnits units(model);
    const DecoderRun run{.packing = make_packing(batch, context.arena),
                         .selection = &selection,
                         .caches = {},
                         .keep = Keep::kNothing,
                         .order = &units};
    const Inputs inputs = make_inputs(model, batch, false);
    decoder_forward(context, model.config(), model.weights().layers, run, hidden, inputs.x, {});
    open(model, LLV_UNIT_HEAD);
    layers::loss_forward(context, c.norm_eps, model.weights().head, hidden, supervised.targets,
                         row_losses);
  }
  for (size_t b = 0; b < losses.size(); ++b) {
    const int32_t begin = selection.starts[b];
    const int32_t end = selection.starts[b + 1];
    losses[b] = std::accumulate(row_losses + begin, row_losses + end, 0.0);
    tokens[b] = end - begin;
  }
}

namespace {

// What a backward pass has to reach, so that nothing is computed for nothing.
struct Reach {
  bool tower;
  bool projector;
  bool embed;
  bool newline;
  bool layers;
  [[nodiscard]] bool images() const { return tower || projector; }
  [[nodiscard]] bool inputs() const { return images() || embed || newline; }
  [[nodiscard]] Keep keep() const {
    return layers || inputs() ? Keep::kForBackward : Keep::kNothing;
  }
};

Reach reach_of(const Llava& model, const Batch& batch) {
  const bool image_rows =
      std::ranges::any_of(batch.image_slots, [](int32_t slot) { return slot >= 0; });
  return {.tower = model.trains(LLV_UNIT_VISION) && image_rows,
          .projector =
              model.trains(LLV_UNIT_PROJECTOR) && image_rows && !model.weights().projector.empty(),
          .embed = model.trains(LLV_UNIT_EMBED),
          .newline = model.trains(LLV_UNIT_NEWLINE) && has_newlines(batch),
          .layers = model.trains(LLV_UNIT_LAYER) || model.trains(LLV_UNIT_LORA)};
}

// Head, forward and, where something trains, backward: returns the loss, which is finite.
double run_head(Llava& model, const Supervised& supervised, const Weights& gradients,
                const Reach& reach, double gradient_scale, View dhidden, View hidden) {
  const Context context = model.engine().context();
  const Scratch scratch(context.arena);
  const double eps = model.config().get().norm_eps;
  double* losses = take_doubles(context.arena, hidden.rows);
  if (reach.keep() == Keep::kNothing && !model.trains(LLV_UNIT_HEAD)) {
    layers::loss_forward(context, eps, model.weights().head, hidden, supervised.targets, losses);
  } else {
    layers::loss_forward_backward(context, eps, model.weights().head, gradients.head, dhidden,
                                  hidden, supervised.targets, losses,
                                  static_cast<float>(gradient_scale));
  }
  const double sum = std::accumulate(losses, losses + hidden.rows, 0.0);
  if (!std::isfinite(sum)) {
    fail(LLV_NUMERIC, "the loss of %lld supervised tokens is %g",
         static_cast<long long>(hidden.rows), sum);
  }
  return sum;
}

// Comes to a unit other than a decoder layer.
void reach(const Llava& model, UnitOrder& units, Pass pass, int32_t kind) {
  units.reach(pass, model.table().unit_of(kind));
}

// From the gradient of the decoder's inputs to the embedding, the projector and the tower.
void backward_inputs(Llava& model, const Inputs& inputs, const Weights& gradients,
                     const Reach& reached, UnitOrder& units, View dx,
                     std::span<const float> pixels) {
  const Context context = model.engine().context();
  if (reached.embed) {
    reach(model, units, Pass::kBackward, LLV_UNIT_EMBED);
    layers::embedding_backward(context, gradients.embed, dx, inputs.images.tokens);
  }
  if (reached.newline) {
    reach(model, units, Pass::kBackward, LLV_UNIT_NEWLINE);
    layers::embedding_backward(context, gradients.newline, dx, inputs.images.newlines);
  }
  if (!reached.images()) {
    return;
  }
  const Scratch scratch(context.arena);
  const int64_t count = inputs.images.count;
  const int64_t tower = reached.tower ? model.config().get().vision_hidden : 0;
  const View dfeatures = context.arena.take(tower > 0 ? count : 0, tower);  // [F, Dv]
  {
    if (reached.projector) {
      reach(model, units, Pass::kBackward, LLV_UNIT_PROJECTOR);
    }
    open(model, LLV_UNIT_PROJECTOR);  // Also where the tower alone trains.
    const Scratch projected(context.arena);
    const View dprojected = context.arena.take(count, dx.cols);  // [F, D]
    layers::splice_backward(context, dprojected, dx, inputs.images.slots);
    projector_backward(context, model.weights().projector, gradients.projector, dfeatures,
                       dprojected, inputs.projector);
  }
  if (reached.tower) {
    reach(model, units, Pass::kBackward, LLV_UNIT_VISION);
    vision_backward(context, model.config(), model.weights().vision, gradients.vision, dfeatures,
                    pixels, inputs.images.rows);
  }
}

// The loss of samples that run at once, and what it adds to the gradients. Nothing is done without
// a supervised token.
Loss run_part(Llava& model, const Batch& batch, const Weights& gradients,
              const GradientOptions& options) {
  Context context = model.engine().context();
  context.dropout = options.dropout;
  const int64_t width = model.config().get().hidden;
  const Supervised supervised = make_supervised(batch, context.arena);
  const int64_t rows = supervised.selection.count;
  if (rows == 0) {
    return {};
  }
  const Reach reached = reach_of(model, batch);
  OpenUnits units(model, options.order);
  const DecoderRun run{.packing = make_packing(batch, context.arena),
                       .selection = &supervised.selection,
                       .caches = {},
                       .keep = reached.keep(),
                       .recompute = options.recompute,
                       .order = &units};
  const bool backward = run.keep != Keep::kNothing;
  const View hidden = context.arena.take(rows, width);                           // [R, D]
  const View dhidden = context.arena.take(rows, width);                          // [R, D]
  const View dx = backward ? context.arena.take(batch.count(), width) : View{};  // [T, D]
  reach(model, units, Pass::kForward, LLV_UNIT_EMBED);
  const Inputs inputs = make_inputs(model, batch, reached.images());
  const std::span<DecoderLayerSaved> saved =
      context.arena.take_objects<DecoderLayerSaved>(backward ? model.config().get().layers : 0);
  decoder_forward(context, model.config(), model.weights().layers, run, hidden, inputs.x, saved);
  reach(model, units, Pass::kForward, LLV_UNIT_HEAD);
  reach(model, units, Pass::kBackward, LLV_UNIT_HEAD);
  const double sum =
      run_head(model, supervised, gradients, reached, options.scale, dhidden, hidden);
  if (backward) {
    decoder_backward(context, model.config(), model.weights().layers, gradients.layers, run, dx,
                     dhidden, saved);
    backward_inputs(model, inputs, gradients, reached, units, dx, batch.pixels);
  }
  return {.sum = sum, .tokens = rows};
}

int64_t tokens_at_once(const Llava& model, const Batch& batch, const GradientOptions& options) {
  if (options.tokens_at_once > 0) {
    return options.tokens_at_once;
  }
  const bool products = model.trains(LLV_UNIT_LAYER) || model.trains(LLV_UNIT_LORA) ||
                        model.trains(LLV_UNIT_HEAD) || model.trains(LLV_UNIT_VISION);
  return products ? batch.count() : kFrozenTokens;
}

}  // namespace

Loss run_gradients(Llava& model, const Batch& batch, const Weights& gradients,
                   const GradientOptions& options) {
  check_batch(batch, model.config());
  check_labels(batch);
  BatchParts parts(batch, model.config(), tokens_at_once(model, batch, options));
  Loss loss;
  while (!parts.done()) {
    const Scratch scratch(model.engine().arena());
    GradientOptions of_part = options;
    if (const int64_t first = parts.first_token(); first > 0) {
      of_part.dropout.key = backend::mix_keys(options.dropout.key, static_cast<uint64_t>(first), 0);
    }
    const Loss more = run_part(model, parts.next(model.engine().arena()), gradients, of_part);
    loss.sum += more.sum;
    loss.tokens += more.tokens;
  }
  if (loss.tokens == 0) {
    fail(LLV_INVALID, "no token of the batch's %lld is supervised",
         static_cast<long long>(batch.count()));
  }
  return loss;
}

}  // namespace llavasharp::model
