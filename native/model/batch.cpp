#include "model/batch.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/error.h"

namespace llavasharp::model {
namespace {

using core::fail;

void check_lengths(const Batch& batch) {
  const auto tokens = batch.tokens.size();
  if (batch.tokens.empty()) {
    fail(LLV_INVALID, "the batch has no tokens");
  }
  if (tokens > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    fail(LLV_INVALID, "the batch has %zu tokens: at most %d", tokens,
         std::numeric_limits<int32_t>::max());
  }
  if (!batch.labels.empty() && batch.labels.size() != tokens) {
    fail(LLV_SHAPE, "labels has %zu entries for %zu tokens", batch.labels.size(), tokens);
  }
  if (batch.positions.size() != tokens) {
    fail(LLV_SHAPE, "positions has %zu entries for %zu tokens", batch.positions.size(), tokens);
  }
}

void check_samples(const Batch& batch) {
  const auto& cu = batch.cu_seqlens;
  if (cu.size() < 2) {
    fail(LLV_SHAPE, "cu_seqlens has %zu entries: B+1 with B ≥ 1", cu.size());
  }
  if (cu.front() != 0) {
    fail(LLV_INVALID, "cu_seqlens[0] is %d: must be 0", cu.front());
  }
  for (size_t b = 1; b < cu.size(); ++b) {
    if (cu[b] <= cu[b - 1]) {
      fail(LLV_INVALID, "cu_seqlens[%zu] is %d, not above %d: samples are not empty", b, cu[b],
           cu[b - 1]);
    }
  }
  if (cu.back() != batch.count()) {
    fail(LLV_SHAPE, "cu_seqlens ends at %d, the batch has %zu tokens", cu.back(),
         batch.tokens.size());
  }
}

// Image rows replace distinct tokens; returns which tokens they replace, until this thread's next
// call.
const std::vector<bool>& check_slots(const Batch& batch, const Config& config) {
  const int64_t images = check_pixels(batch.pixels, config);
  const int64_t rows = images * config.image_rows();
  if (static_cast<int64_t>(batch.image_slots.size()) != rows) {
    fail(LLV_SHAPE, "image_slots has %zu entries: %lld images of %lld rows need %lld",
         batch.image_slots.size(), static_cast<long long>(images),
         static_cast<long long>(config.image_rows()), static_cast<long long>(rows));
  }
  thread_local std::vector<bool> replaced;  // Kept: a steady step allocates nothing.
  replaced.assign(batch.tokens.size(), false);
  for (size_t i = 0; i < batch.image_slots.size(); ++i) {
    const int32_t slot = batch.image_slots[i];
    if (slot == -1) {
      continue;
    }
    if (slot < 0 || slot >= batch.count()) {
      fail(LLV_INVALID, "image_slots[%zu] is %d: must be -1 or 0 to %lld", i, slot,
           static_cast<long long>(batch.count() - 1));
    }
    if (replaced[static_cast<size_t>(slot)]) {
      fail(LLV_INVALID, "image_slots[%zu] is %d: that token is replaced twice", i, slot);
    }
    replaced[static_cast<size_t>(slot)] = true;
  }
  return replaced;
}

}  // namespace

int64_t check_pixels(std::span<const float> pixels, const Config& config) {
  if (pixels.empty()) {
    return 0;
  }
  if (!config.has_tower()) {
    fail(LLV_INVALID, "the model has no vision tower, and %zu pixel values were given",
         pixels.size());
  }
  const int64_t image = config.image_floats();
  const auto count = static_cast<int64_t>(pixels.size());
  if (count % image != 0) {
    fail(LLV_SHAPE, "pixels has %lld values: not a multiple of 3·%d·%d = %lld",
         static_cast<long long>(count), config.get().image_size, config.get().image_size,
         static_cast<long long>(image));
  }
  return count / image;
}

void check_batch(const Batch& batch, const Config& config) {
  check_lengths(batch);
  check_samples(batch);
  const std::vector<bool>& replaced = check_slots(batch, config);
  const int32_t vocabulary = config.get().vocabulary;
  for (size_t t = 0; t < batch.tokens.size(); ++t) {
    const int32_t token = batch.tokens[t];
    if (token == LLV_IMAGE_NEWLINE && !replaced[t]) {
      if (config.get().image_newline == 0) {
        fail(LLV_INVALID, "tokens[%zu] is image_newline (%d), which this model does not have", t,
             token);
      }
    } else if (!replaced[t] && (token < 0 || token >= vocabulary)) {
      fail(LLV_INVALID, "tokens[%zu] is %d: must be 0 to %d", t, token, vocabulary - 1);
    }
    if (batch.positions[t] < 0) {
      fail(LLV_INVALID, "positions[%zu] is %d: must not be negative", t, batch.positions[t]);
    }
  }
  for (size_t t = 0; t < batch.labels.size(); ++t) {
    const int32_t label = batch.labels[t];
    if (label != LLV_IGNORE_LABEL && (label < 0 || label >= vocabulary)) {
      fail(LLV_INVALID, "labels[%zu] is %d: must be %d or 0 to %d", t, label, LLV_IGNORE_LABEL,
           vocabulary - 1);
    }
  }
}

bool has_newlines(const Batch& batch) {
  const auto is_newline = [](int32_t token) { return token == LLV_IMAGE_NEWLINE; };
  const auto is_hidden = [&](int32_t slot) {
    return slot >= 0 && is_newline(batch.tokens[static_cast<size_t>(slot)]);
  };
  return std::ranges::count_if(batch.tokens, is_newline) >
         std::ranges::count_if(batch.image_slots, is_hidden);  // Slots are distinct.
}

BatchParts::BatchParts(const Batch& batch, const Config& config, int64_t tokens)
    : batch_(batch),
      image_rows_(config.has_tower() ? static_cast<size_t>(config.image_rows()) : 0),
      image_floats_(config.has_tower() ? static_cast<size_t>(config.image_floats()) : 0),
      tokens_(tokens) {}

// Whether the images before some one have all their rows before `token`, and the others none:
// image_end_ is that one then.
bool BatchParts::images_end_at(int64_t token) {
  const auto is_before = [token](int32_t slot) { return slot >= 0 && slot < token; };
  const auto is_after = [token](int32_t slot) { return slot >= token; };
  std::span<const int32_t> slots = batch_.image_slots;
  image_end_ = 0;
  while (!slots.empty() && std::ranges::none_of(slots.first(image_rows_), is_after)) {
    slots = slots.subspan(image_rows_);
    ++image_end_;
  }
  return std::ranges::none_of(slots, is_before);
}

Batch BatchParts::next(core::Arena& arena) {
  const auto& cu = batch_.cu_seqlens;
  const int32_t begin = cu[sample_];
  size_t end = sample_;  // After the last sample that fits and may be last.
  for (size_t b = sample_ + 1; b < cu.size(); ++b) {
    if (end > sample_ && cu[b] - begin > tokens_) {
      break;
    }
    if (images_end_at(cu[b])) {
      end = b;
    }
  }
  (void)images_end_at(cu[end]);
  const auto take = [&arena](size_t count) {
    return std::span(arena.take_ints(static_cast<int64_t>(count)), count);
  };
  const std::span<int32_t> starts = take(end - sample_ + 1);
  for (size_t b = 0; b < starts.size(); ++b) {
    starts[b] = cu[sample_ + b] - begin;
  }
  const size_t images = image_end_ - image_;
  const std::span<int32_t> slots = take(images * image_rows_);
  for (size_t i = 0; i < slots.size(); ++i) {
    const int32_t slot = batch_.image_slots[image_ * image_rows_ + i];
    slots[i] = slot < 0 ? slot : slot - begin;
  }
  const auto part = [begin, count = static_cast<size_t>(cu[end] - begin)](auto all) {
    return all.empty() ? all : all.subspan(static_cast<size_t>(begin), count);
  };
  const Batch run{.tokens = part(batch_.tokens),
                  .labels = part(batch_.labels),
                  .positions = part(batch_.positions),
                  .cu_seqlens = starts,
                  .image_slots = slots,
                  .pixels = batch_.pixels.subspan(image_ * image_floats_, images * image_floats_)};
  sample_ = end;
  image_ = image_end_;
  return run;
}

layers::Packing make_packing(const Batch& batch, core::Arena& arena) {
  const int64_t samples = batch.samples();
  const int64_t tokens = batch.count();
  int32_t* starts = arena.take_ints(samples + 1);
  int32_t* counts = arena.take_ints(samples);
  int32_t* positions = arena.take_ints(tokens);
  int32_t* visible = arena.take_ints(tokens);
  std::ranges::copy(batch.cu_seqlens, starts);
  std::ranges::copy(batch.positions, positions);
  for (int64_t b = 0; b < samples; ++b) {
    counts[b] = starts[b + 1] - starts[b];
    for (int32_t t = starts[b]; t < starts[b + 1]; ++t) {
      visible[t] = t - starts[b] + 1;  // Causal: itself and what comes before.
    }
  }
  return {.samples = samples,
          .tokens = tokens,
          .starts = starts,
          .key_starts = starts,
          .key_counts = counts,
          .positions = positions,
          .visible = visible};
}

namespace {

// What ImageRows calls newlines.
const int32_t* make_newlines(const int32_t* tokens, int64_t count, core::Arena& arena) {
  if (std::find(tokens, tokens + count, LLV_IMAGE_NEWLINE) == tokens + count) {
    return nullptr;
  }
  int32_t* newlines = arena.take_ints(count);
  std::transform(tokens, tokens + count, newlines,
                 [](int32_t token) { return token == LLV_IMAGE_NEWLINE ? 0 : -1; });
  return newlines;
}

}  // namespace

ImageRows make_image_rows(const Batch& batch, core::Arena& arena) {
  int32_t* tokens = arena.take_ints(batch.count());
  const auto all = static_cast<int64_t>(batch.image_slots.size());
  int32_t* rows = arena.take_ints(all);
  int32_t* slots = arena.take_ints(all);
  std::ranges::copy(batch.tokens, tokens);
  int64_t count = 0;
  for (size_t i = 0; i < batch.image_slots.size(); ++i) {
    const int32_t slot = batch.image_slots[i];
    if (slot >= 0) {
      rows[count] = static_cast<int32_t>(i);
      slots[count] = slot;
      tokens[slot] = -1;
      ++count;
    }
  }
  return {.count = count,
          .rows = rows,
          .slots = slots,
          .tokens = tokens,
          .newlines = make_newlines(tokens, batch.count(), arena)};
}

Supervised make_supervised(const Batch& batch, core::Arena& arena) {
  const auto is_supervised = [](int32_t label) { return label != LLV_IGNORE_LABEL; };
  const int64_t most = std::ranges::count_if(batch.labels, is_supervised);
  int32_t* rows = arena.take_ints(most);
  int32_t* targets = arena.take_ints(most);
  int64_t count = 0;
  for (size_t b = 0; b + 1 < batch.cu_seqlens.size(); ++b) {
    // A sample's first token has nothing before it that could predict it.
    for (int32_t t = batch.cu_seqlens[b] + 1; t < batch.cu_seqlens[b + 1]; ++t) {
      const int32_t label = batch.labels[static_cast<size_t>(t)];
      if (is_supervised(label)) {
        rows[count] = t - 1;
        targets[count] = label;
        ++count;
      }
    }
  }
  const std::span<const int32_t> chosen(rows, static_cast<size_t>(count));
  return {.selection = make_selection(batch, chosen, arena), .targets = targets};
}

layers::Selection make_selection(const Batch& batch, std::span<const int32_t> rows,
                                 core::Arena& arena) {
  const auto count = static_cast<int64_t>(rows.size());
  int32_t* chosen = arena.take_ints(count);
  int32_t* starts = arena.take_ints(batch.samples() + 1);
  int32_t* positions = arena.take_ints(count);
  int32_t* visible = arena.take_ints(count);
  size_t sample = 0;
  starts[0] = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t row = rows[static_cast<size_t>(i)];
    while (row >= batch.cu_seqlens[sample + 1]) {
      starts[++sample] = static_cast<int32_t>(i);
    }
    chosen[i] = row;
    positions[i] = batch.positions[static_cast<size_t>(row)];
    visible[i] = row - batch.cu_seqlens[sample] + 1;
  }
  while (sample + 1 < batch.cu_seqlens.size()) {
    starts[++sample] = static_cast<int32_t>(count);
  }
  return {
      .count = count, .rows = chosen, .starts = starts, .positions = positions, .visible = visible};
}

}  // namespace llavasharp::model
