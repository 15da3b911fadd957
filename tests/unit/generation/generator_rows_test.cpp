// Rows of a request: the same text alone, in company, in any order of work.

#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

#include "unit/generation/fake_model.h"

namespace bobby {
namespace {

using testing_support::babble;
using testing_support::FakeModel;
using testing_support::make_fake;

GenerationRequest request_of(std::size_t prompt_tokens, std::vector<std::uint32_t> samples) {
  GenerationRequest request;
  request.prompt = std::string(prompt_tokens, 'p');
  request.samples = std::move(samples);
  request.max_tokens = 30;
  request.sampling.temperature = 1.0f;
  request.seed = 42;
  return request;
}

std::map<std::uint32_t, Completion> generate(const GenerationRequest& request,
                                             GeneratorOptions options = {}) {
  const auto fake = make_fake(babble);
  Generator generator(fake.loader(), options);
  const auto completions = generator.generate(request);
  EXPECT_TRUE(completions) << completions.error().to_string();
  std::map<std::uint32_t, Completion> by_sample;
  if (completions)
    for (const Completion& completion : *completions) by_sample[completion.sample] = completion;
  return by_sample;
}

TEST(GeneratorRows, WriteTheSameAloneAndTogether) {
  const std::vector<std::uint32_t> samples = {0, 1, 2, 3, 4, 1u << 20};
  // Prompts shorter than a block of 8, just as long, just longer, and of several blocks.
  for (const std::size_t prompt_tokens : {1, 7, 8, 9, 16, 21}) {
    SCOPED_TRACE(prompt_tokens);
    const auto together = generate(request_of(prompt_tokens, samples));
    for (const std::uint32_t sample : samples) {
      const auto alone = generate(request_of(prompt_tokens, {sample}));
      EXPECT_EQ(alone.at(sample).tokens, together.at(sample).tokens);
      EXPECT_EQ(alone.at(sample).text, together.at(sample).text);
      EXPECT_EQ(alone.at(sample).mean_logprob, together.at(sample).mean_logprob);
    }
    EXPECT_NE(together.at(0).text, together.at(1).text);
  }
}

TEST(GeneratorRows, DoNotDependOnPlacesOrChunks) {
  const auto request = request_of(21, first_samples(7));
  const auto expected = generate(request);
  for (const std::int64_t max_rows : {1, 2, 3, 100})
    for (const std::int64_t prefill_chunk : {1, 5, 8, 512}) {
      const auto found = generate(request, {.max_rows = max_rows, .prefill_chunk = prefill_chunk});
      for (const auto& [sample, completion] : expected)
        EXPECT_EQ(found.at(sample).tokens, completion.tokens)
            << "sample " << sample << ", " << max_rows << " places, chunks of " << prefill_chunk;
    }
}

TEST(GeneratorRows, DoNotDependOnEarlierRequests) {
  const auto fake = make_fake(babble);
  Generator generator(fake.loader());
  const auto request = request_of(21, first_samples(3));
  const auto first = generator.generate(request);
  ASSERT_TRUE(generator.generate(request_of(40, first_samples(5))));
  const auto again = generator.generate(request);
  ASSERT_TRUE(first && again);
  for (std::size_t i = 0; i < first->size(); ++i) EXPECT_EQ((*first)[i].text, (*again)[i].text);
}

TEST(GeneratorRows, ComputeThePromptOnce) {
  for (const std::size_t prompt_tokens : {21, 16, 5}) {  // blocks are of 8
    SCOPED_TRACE(prompt_tokens);
    const auto fake = make_fake(babble);
    Generator generator(fake.loader());
    auto request = request_of(prompt_tokens, first_samples(4));
    request.max_tokens = 10;
    request.ignore_eos = true;
    ASSERT_TRUE(generator.generate(request));
    const auto& steps = fake.model->steps;
    ASSERT_EQ(steps.size(), 1u + 9u);
    EXPECT_EQ(steps[0].tokens, static_cast<std::int64_t>(prompt_tokens));
    for (std::size_t i = 1; i < steps.size(); ++i) EXPECT_EQ(steps[i].sequences, 4);
    // Full blocks once, the one that is not for the run and for each row, and the rows' own.
    const auto full = static_cast<std::int64_t>(prompt_tokens) / 8;
    const std::int64_t all = (static_cast<std::int64_t>(prompt_tokens) + 9 + 7) / 8;
    const std::int64_t tail = prompt_tokens % 8 > 0 ? 1 : 0;
    EXPECT_EQ(fake.backend->pools, (std::vector<std::int64_t>{full + tail + 4 * (all - full)}));
    EXPECT_EQ(generator.last_trace().shared_prompt_tokens,
              static_cast<std::int64_t>(prompt_tokens));
  }
}

TEST(GeneratorRows, CountWhatTheCacheCouldNotHold) {
  const auto fake = make_fake(babble);
  Generator generator(fake.loader());
  EXPECT_EQ(generator.memory_stats().kv_saturated, 0u);
  auto request = request_of(9, first_samples(2));
  request.max_tokens = 5;
  request.ignore_eos = true;
  ASSERT_TRUE(generator.generate(request));
  EXPECT_EQ(generator.last_trace().kv_saturated, 9u + 2 * 4);
  EXPECT_NE(generator.last_trace().to_json().find("\"kv_saturated\":17"), std::string::npos);
  ASSERT_TRUE(generator.generate(request_of(200, {0})));  // a larger pool
  EXPECT_EQ(generator.memory_stats().kv_saturated, 17 + generator.last_trace().kv_saturated);
}

TEST(GeneratorRows, ThatWaitTakeThePlacesOfThoseThatEnd) {
  const auto fake = make_fake(babble);
  Generator generator(fake.loader(), {.max_rows = 2});
  const auto completions = generator.generate(request_of(9, first_samples(6)));
  ASSERT_TRUE(completions);
  EXPECT_EQ(completions->size(), 6u);
  std::int64_t most = 0;
  for (const FakeModel::Step& step : fake.model->steps) most = std::max(most, step.sequences);
  EXPECT_EQ(most, 2);
  EXPECT_LE(fake.backend->pools.at(0), 1 + 1 + 2 * 4);
}

TEST(GeneratorRows, RepeatTheirTextForARepeatedSample) {
  const auto fake = make_fake(babble);
  Generator generator(fake.loader());
  const auto completions = generator.generate(request_of(9, {3, 3}));
  ASSERT_TRUE(completions);
  EXPECT_EQ(completions->at(0).text, completions->at(1).text);
}

}  // namespace
}  // namespace bobby
