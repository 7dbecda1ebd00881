// Generation with its cache against repeated full forward passes, and the sampler.
#include <algorithm>
#include <set>
#include <utility>

#include "model/generator/sampler.h"
#include "support/tiny.h"

namespace llavasharp::test {
namespace {

struct Answers {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::pair<int32_t, int32_t>> streamed;
};

Answers generate(const Generator& generator, const Batch& batch, const llv_sampling& sampling,
                 const std::vector<int32_t>& stops = {}) {
  const llv_batch view = batch.view();
  const auto row = static_cast<size_t>(sampling.max_new_tokens);
  std::vector<int32_t> tokens(static_cast<size_t>(batch.samples()) * row, -1);
  std::vector<int32_t> lengths(static_cast<size_t>(batch.samples()));
  Answers answers;
  ok(llv_generator_run(
      generator.get(), &view, &sampling, stops.data(), static_cast<int64_t>(stops.size()),
      tokens.data(), static_cast<int64_t>(tokens.size()), lengths.data(), batch.samples(),
      [](int32_t sequence, int32_t token, void* user) {
        static_cast<Answers*>(user)->streamed.emplace_back(sequence, token);
        return 0;
      },
      &answers));
  for (size_t b = 0; b < lengths.size(); ++b) {
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(b * row);
    answers.tokens.emplace_back(begin, begin + lengths[b]);
  }
  return answers;
}

class Generation : public testing::Test {
 protected:
  Generation() {
    fill_lively(model_);
    Drawer draw(config_, 21);
    draw.add_image(prompts_, 2, 3, 0);
    draw.add_text(prompts_, 1, 0);
    draw.add_text(prompts_, 6, 0);
    ok(llv_sampling_init(&sampling_));
    sampling_.max_new_tokens = 9;
  }

  // Sample b alone, its image with it.
  [[nodiscard]] Batch prompt(size_t b) const {
    const int32_t begin = prompts_.cu_seqlens[b];
    const int32_t end = prompts_.cu_seqlens[b + 1];
    Batch one;
    one.add({prompts_.tokens.begin() + begin, prompts_.tokens.begin() + end}, {});
    if (b == 0) {
      one.pixels = prompts_.pixels;
      one.image_slots = prompts_.image_slots;
    }
    return one;
  }

  llv_model_config config_ = tiny_config();
  Engine engine_ = make_engine();
  Model model_ = make_model(engine_, config_);
  Generator generator_ = make_generator(model_);
  Batch prompts_;
  llv_sampling sampling_{};
};

TEST_F(Generation, GreedyEqualsRepeatedForwardPasses) {
  const Answers answers = generate(generator_, prompts_, sampling_);
  for (size_t b = 0; b < 3; ++b) {
    Batch whole = prompt(b);
    std::vector<int32_t> expected;
    for (int step = 0; step < sampling_.max_new_tokens; ++step) {
      const auto last = static_cast<int32_t>(whole.tokens.size()) - 1;
      const std::vector<float> logits = logits_of(model_, whole, {last}, config_.vocabulary);
      const auto best = static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
      expected.push_back(best);
      whole.tokens.push_back(best);
      whole.positions.push_back(last + 1);
      whole.cu_seqlens.back() = last + 2;
    }
    EXPECT_EQ(answers.tokens[b], expected) << b;
  }
}

TEST_F(Generation, StreamsEachTokenInOrder) {
  const Answers answers = generate(generator_, prompts_, sampling_);
  std::vector<std::vector<int32_t>> streamed(3);
  for (const auto& [sequence, token] : answers.streamed) {
    streamed[static_cast<size_t>(sequence)].push_back(token);
  }
  EXPECT_EQ(streamed, answers.tokens);
}

TEST_F(Generation, StopTokensEndASequenceAndLeaveOthers) {
  const Answers free = generate(generator_, prompts_, sampling_);
  const int32_t stop = free.tokens[1][3];
  const Answers stopped = generate(generator_, prompts_, sampling_, {stop});
  for (size_t b = 0; b < 3; ++b) {
    std::vector<int32_t> expected = free.tokens[b];
    const auto found = std::ranges::find(expected, stop);
    expected.erase(found == expected.end() ? found : found + 1, expected.end());
    EXPECT_EQ(stopped.tokens[b], expected) << b;
  }
}

TEST_F(Generation, SamplesDependOnTheSeedAlone) {
  sampling_.temperature = 1.0;
  sampling_.top_p = 0.9;
  sampling_.seed = 4;
  const Answers first = generate(generator_, prompts_, sampling_);
  EXPECT_EQ(generate(generator_, prompts_, sampling_).tokens, first.tokens);
  EXPECT_EQ(generate(make_generator(model_), prompts_, sampling_).tokens, first.tokens);
  EXPECT_EQ(generate(generator_, prompt(0), sampling_).tokens[0], first.tokens[0]);
  sampling_.seed = 5;
  EXPECT_NE(generate(generator_, prompts_, sampling_).tokens, first.tokens);
}

TEST_F(Generation, TopOneIsGreedy) {
  const Answers greedy = generate(generator_, prompts_, sampling_);
  sampling_.temperature = 3.0;
  sampling_.top_k = 1;
  EXPECT_EQ(generate(generator_, prompts_, sampling_).tokens, greedy.tokens);
  sampling_.top_k = 0;
  sampling_.top_p = 1e-9;
  EXPECT_EQ(generate(generator_, prompts_, sampling_).tokens, greedy.tokens);
}

TEST_F(Generation, CallbackStopsTheRun) {
  const llv_batch view = prompts_.view();
  std::vector<int32_t> tokens(27);
  std::vector<int32_t> lengths(3);
  int calls = 0;
  const llv_status status = llv_generator_run(
      generator_.get(), &view, &sampling_, nullptr, 0, tokens.data(), 27, lengths.data(), 3,
      [](int32_t, int32_t, void* user) { return ++*static_cast<int*>(user) == 5 ? 1 : 0; }, &calls);
  EXPECT_EQ(status, LLV_CANCELLED);
  EXPECT_STREQ(llv_error_message(), "the callback stopped at token 1 of sequence 1");
  EXPECT_EQ(calls, 5);
  EXPECT_EQ(generate(generator_, prompts_, sampling_).tokens.size(), 3U);
}

TEST(Sampler, GreedyTakesTheLowestIdOnTies) {
  model::Sampler sampler(model::Sampling{});
  EXPECT_EQ(sampler.draw(std::vector<float>{1, 3, 3, 2}, 0, 0), 1);
}

TEST(Sampler, FiltersByTopKAndTopP) {
  const std::vector<float> logits{0, 2, 1, 2, -1};
  const auto seen = [&](int32_t top_k, double top_p) {
    model::Sampler sampler({.temperature = 1, .top_p = top_p, .top_k = top_k});
    std::set<int32_t> ids;
    for (int64_t step = 0; step < 400; ++step) {
      ids.insert(sampler.draw(logits, 0, step));
    }
    return ids;
  };
  EXPECT_EQ(seen(0, 1), (std::set<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(seen(2, 1), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(seen(3, 1), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(seen(0, 0.5), (std::set<int32_t>{1, 3}));  // 0.4 and 0.4 of the probability.
  EXPECT_EQ(seen(0, 0.35), (std::set<int32_t>{1}));
}

TEST(Sampler, FollowsTheDistribution) {
  const std::vector<float> logits{0, static_cast<float>(std::log(3.0)), 0};
  model::Sampler sampler({.temperature = 1, .seed = 9});
  int counts[3] = {};
  constexpr int kDraws = 20000;
  for (int64_t step = 0; step < kDraws; ++step) {
    ++counts[sampler.draw(logits, step % 7, step)];
  }
  EXPECT_NEAR(counts[1], 0.6 * kDraws, 350);  // Five deviations of 69.
  EXPECT_NEAR(counts[0], 0.2 * kDraws, 285);
}

TEST(Sampler, RefusesLogitsThatAreNotNumbers) {
  model::Sampler sampler(model::Sampling{});
  EXPECT_ANY_THROW(static_cast<void>(sampler.draw(std::vector<float>{1, NAN}, 0, 0)));
  EXPECT_ANY_THROW(static_cast<void>(sampler.draw(std::vector<float>{1, INFINITY}, 0, 0)));
}

}  // namespace
}  // namespace llavasharp::test
