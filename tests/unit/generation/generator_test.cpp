#include "generation/generator.h"

#include <atomic>
#include <gtest/gtest.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "unit/generation/fake_model.h"

namespace bobby {
namespace {

using testing_support::babble;
using testing_support::FakeLoaded;
using testing_support::kFakeVocab;
using testing_support::kImEnd;
using testing_support::make_fake;
using testing_support::recite;

constexpr const char* kPrompt = "prompt";

GenerationRequest greedy() {
  GenerationRequest request;
  request.prompt = kPrompt;
  request.sampling.temperature = 0.0f;
  return request;
}

Completion run_one(const FakeLoaded& fake, const GenerationRequest& request) {
  Generator generator(fake.loader());
  auto completions = generator.generate(request);
  EXPECT_TRUE(completions) << completions.error().to_string();
  return completions ? completions->at(0) : Completion();
}

TEST(Generator, StopsAtTheModelsEnd) {
  const Completion completion = run_one(make_fake(recite(kPrompt, "hello")), greedy());
  EXPECT_EQ(completion.text, "hello");
  EXPECT_EQ(completion.tokens, (std::vector<std::int32_t>{'h', 'e', 'l', 'l', 'o'}));
  EXPECT_EQ(completion.finish_reason, FinishReason::kStop);
  EXPECT_EQ(completion.prompt_tokens, 6);
  EXPECT_NEAR(completion.mean_logprob, 0.0, 1e-5) << "logits of 30 against 0: certain";
}

TEST(Generator, StopsAtMaxTokens) {
  auto request = greedy();
  request.max_tokens = 3;
  const Completion completion = run_one(make_fake(recite(kPrompt, "hello")), request);
  EXPECT_EQ(completion.text, "hel");
  EXPECT_EQ(completion.finish_reason, FinishReason::kLength);
  request.max_tokens = 5;
  EXPECT_EQ(run_one(make_fake(recite(kPrompt, "hello")), request).finish_reason,
            FinishReason::kLength);
}

TEST(Generator, IgnoresTheEndWhenMeasuring) {
  auto request = greedy();
  request.ignore_eos = true;
  request.max_tokens = 9;
  request.stop = {"ll"};
  const Completion completion = run_one(make_fake(recite(kPrompt, "hello")), request);
  EXPECT_EQ(completion.tokens.size(), 9u);
  EXPECT_EQ(completion.text, "hello");
}

/// The pieces that on_token gets for one greedy row, and its completion.
struct Streamed {
  std::vector<std::string> pieces;
  Completion completion;
};
Streamed stream(const std::string& text, std::vector<std::string> stops) {
  Streamed streamed;
  auto request = greedy();
  request.stop = std::move(stops);
  std::string joined;
  request.on_token = [&](const TokenEvent& event) {
    streamed.pieces.emplace_back(event.text);
    joined += event.text;
    EXPECT_EQ(event.all_text, joined);
    return RowAction::kContinue;
  };
  streamed.completion = run_one(make_fake(recite(kPrompt, text)), request);
  EXPECT_EQ(joined, streamed.completion.text) << "what is streamed is the text";
  return streamed;
}

TEST(Generator, NeverStreamsPartOfAStopString) {
  const Streamed streamed = stream("one END two", {"END"});
  EXPECT_EQ(streamed.completion.text, "one ");
  EXPECT_EQ(streamed.completion.finish_reason, FinishReason::kStop);
  EXPECT_EQ(streamed.pieces, (std::vector<std::string>{"o", "n", "e", " ", "", "", ""}));
  EXPECT_EQ(stream("one EN", {"END"}).completion.text, "one EN") << "held back, then let go";
}

TEST(Generator, NeverStreamsHalfACodePoint) {
  const Streamed streamed = stream("é😀", {});
  EXPECT_EQ(streamed.pieces, (std::vector<std::string>{"", "é", "", "", "", "😀", ""}));
  EXPECT_EQ(stream("a\xC3", {}).completion.text, "a\uFFFD") << "a last code point that never ends";
}

TEST(Generator, TakesAStopThatIsASpecialToken) {
  // As text the token would never be seen, since special tokens add none.
  auto request = greedy();
  request.stop = {"<|im_start|>"};
  auto fake = make_fake([](std::span<const std::int32_t> tokens) {
    std::vector<float> logits(static_cast<std::size_t>(kFakeVocab), 0.0f);
    logits[tokens.size() == 6 ? 'a' : testing_support::kImStart] = 9.0f;
    return logits;
  });
  const Completion completion = run_one(fake, request);
  EXPECT_EQ(completion.text, "a");
  EXPECT_EQ(completion.finish_reason, FinishReason::kStop);
  request.stop.clear();
  request.stop_ids = {'a'};
  EXPECT_EQ(run_one(fake, request).text, "");
}

TEST(Generator, EndsARowWhenAskedTo) {
  auto request = greedy();
  request.on_token = [](const TokenEvent& event) {
    return event.all_text.size() >= 2 ? RowAction::kFinish : RowAction::kContinue;
  };
  const Completion completion = run_one(make_fake(recite(kPrompt, "hello")), request);
  EXPECT_EQ(completion.text, "he");
  EXPECT_EQ(completion.finish_reason, FinishReason::kLengthLimit);
}

TEST(Generator, RefusesAPromptThatFillsTheContext) {
  Generator generator(make_fake(babble, 20).loader());
  auto request = greedy();
  request.prompt = std::string(20, 'p');
  const auto refused = generator.generate(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  EXPECT_NE(refused.error().to_string().find("20 tokens"), std::string::npos);
  EXPECT_NE(refused.error().to_string().find("at most 19"), std::string::npos);

  request.prompt = std::string(19, 'p');
  request.ignore_eos = true;
  const auto last = generator.generate(request);
  ASSERT_TRUE(last) << last.error().to_string();
  EXPECT_EQ(last->at(0).tokens.size(), 1u) << "one place was left";
  EXPECT_EQ(last->at(0).finish_reason, FinishReason::kLength);
}

TEST(Generator, NamesEveryBadField) {
  Generator generator(make_fake(babble).loader());
  GenerationRequest request;
  request.samples.clear();
  request.max_tokens = 0;
  request.sampling.top_p = 2.0f;
  request.adapters = {AdapterUse{}};
  const auto refused = generator.generate(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  for (const char* field : {"prompt", "count", "max-tokens", "top-p", "adapter"})
    EXPECT_NE(refused.error().to_string().find(field), std::string::npos) << field;
}

TEST(Generator, ReportsLogitsThatAreNoNumbers) {
  const auto fake = make_fake([](std::span<const std::int32_t> tokens) {
    std::vector<float> logits(static_cast<std::size_t>(kFakeVocab), 0.0f);
    logits['a'] = 1.0f;
    if (tokens.size() == 8) logits[5] = std::numeric_limits<float>::quiet_NaN();
    return logits;
  });
  Generator generator(fake.loader());
  const auto failed = generator.generate(greedy());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kNumeric);
  EXPECT_NE(failed.error().to_string().find("position 8"), std::string::npos);
}

TEST(Generator, CanBeCancelled) {
  const auto fake = make_fake(recite(kPrompt, "hello"));
  Generator generator(fake.loader());
  std::atomic<bool> cancel = false;
  auto request = greedy();
  request.cancel = &cancel;
  request.on_token = [&](const TokenEvent& event) {
    if (event.all_text == "hel") cancel = true;
    return RowAction::kContinue;
  };
  const auto partial = generator.generate(request);
  ASSERT_TRUE(partial);
  EXPECT_EQ(partial->at(0).text, "hel");
  EXPECT_EQ(partial->at(0).finish_reason, FinishReason::kCancelled);
  const auto nothing = generator.generate(request);
  ASSERT_FALSE(nothing) << "cancelled before the prompt";
  EXPECT_EQ(nothing.error().code, ErrorCode::kCancelled);
}

TEST(Generator, LoadsAtFirstUseAndOnce) {
  const auto fake = make_fake(recite(kPrompt, "hello"));
  int loads = 0;
  Generator generator([&](const ProgressFn& progress) -> Result<std::shared_ptr<LoadedModel>> {
    if (progress) progress({.phase = "weights", .done = 1, .total = 1});
    if (++loads == 1) return fail({.code = ErrorCode::kIo, .where = "disk", .problem = "is away"});
    return fake.loaded;
  });
  EXPECT_FALSE(generator.loaded());
  EXPECT_EQ(generator.memory_stats().weight_bytes, 0u);
  const auto failed = generator.generate(greedy());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kIo);
  EXPECT_FALSE(generator.loaded());

  std::string phase;
  ASSERT_TRUE(generator.prewarm([&](const Progress& progress) { phase = progress.phase; }));
  EXPECT_EQ(phase, "weights");
  EXPECT_TRUE(generator.loaded());
  ASSERT_TRUE(generator.generate(greedy()));
  EXPECT_EQ(loads, 2);
  EXPECT_EQ(generator.memory_stats().weight_bytes, 1000u);
  EXPECT_GT(generator.memory_stats().kv_bytes, 0u);
  EXPECT_GT(generator.memory_stats().peak_rss_bytes, 0u);
}

TEST(Generator, ServesThreadsOneAfterTheOther) {
  const auto fake = make_fake(babble);
  Generator generator(fake.loader());
  const auto ask = [&](std::uint64_t seed) {
    GenerationRequest request;
    request.prompt = kPrompt;
    request.seed = seed;
    const auto completions = generator.generate(request);
    return completions ? completions->at(0).text : completions.error().to_string();
  };
  std::vector<std::string> alone, together(4);
  for (std::uint64_t seed = 0; seed < 4; ++seed) alone.push_back(ask(seed));
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 0; seed < 4; ++seed)
    threads.emplace_back([&, seed] { together[seed] = ask(seed); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(together, alone);
}

TEST(Generator, ReportsThePromptsProgress) {
  const auto fake = make_fake(recite(kPrompt, "x"));
  Generator generator(fake.loader(), {.prefill_chunk = 4});
  std::vector<std::uint64_t> done;
  auto request = greedy();
  request.on_prefill = [&](const Progress& progress) {
    EXPECT_EQ(progress.total, 6u);
    done.push_back(progress.done);
  };
  ASSERT_TRUE(generator.generate(request));
  EXPECT_EQ(done, (std::vector<std::uint64_t>{0, 4, 6}));
}

TEST(Generator, TracesItsLastRequest) {
  const auto fake = make_fake(recite(kPrompt, "hello"));
  Generator generator(fake.loader());
  ASSERT_TRUE(generator.generate(greedy()));
  const auto json = nlohmann::json::parse(generator.last_trace().to_json());
  EXPECT_EQ(json.at("prompt_tokens"), 6);
  EXPECT_EQ(json.at("prefill").size(), 1u);
  EXPECT_EQ(json.at("steps").size(), 5u) << "the first token comes with the prompt";
  ASSERT_EQ(json.at("tokens").size(), 6u) << "five letters and the end";
  EXPECT_EQ(json.at("tokens")[5].at("token"), kImEnd);
  EXPECT_EQ(json.at("tokens")[5].at("index"), 5);
  EXPECT_GE(json.at("total_ms").get<double>(), json.at("tokens")[5].at("at_ms").get<double>());
}

}  // namespace
}  // namespace bobby
