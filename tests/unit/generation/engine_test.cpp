// Many requests at once: what they share, how they take turns, and how they end.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <gtest/gtest.h>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "unit/generation/fake_model.h"

namespace bobby {
namespace {

using testing_support::babble;
using testing_support::FakeLoaded;
using testing_support::FakeModel;
using testing_support::kFakeVocab;
using testing_support::make_fake;

GenerationRequest request_of(std::string prompt, std::uint64_t seed, std::int64_t max_tokens = 20) {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 1.0f;
  request.seed = seed;
  request.ignore_eos = true;
  return request;
}

/// Collects what submit() reports.
class Answers {
 public:
  Generator::OnDone at(std::size_t index) {
    return [this, index](Result<std::vector<Completion>> result) {
      const std::lock_guard lock(mutex_);
      if (results_.size() <= index) results_.resize(index + 1);
      results_[index].push_back(std::move(result));
      order_.push_back(index);
      news_.notify_all();
    };
  }
  void wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        news_.wait_for(lock, std::chrono::seconds(30), [&] { return order_.size() >= count; }));
  }
  std::string text(std::size_t index) const {
    const auto& result = results_.at(index).at(0);
    return result ? result->at(0).text : result.error().to_string();
  }
  ErrorCode error(std::size_t index) const { return results_.at(index).at(0).error().code; }
  const std::vector<std::size_t>& order() const { return order_; }
  std::size_t times(std::size_t index) const { return results_.at(index).size(); }

 private:
  std::mutex mutex_;
  std::condition_variable news_;
  std::vector<std::vector<Result<std::vector<Completion>>>> results_;
  std::vector<std::size_t> order_;
};

/// A gate that the model's steps wait at.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    news_.notify_all();
  }
  Result<void> pass() {
    std::unique_lock lock(mutex_);
    news_.wait(lock, [&] { return open_; });
    return {};
  }

 private:
  std::mutex mutex_;
  std::condition_variable news_;
  bool open_ = false;
};

std::int64_t most_sequences(const FakeModel& model) {
  std::int64_t most = 0;
  for (const FakeModel::Step& step : model.steps) most = std::max(most, step.sequences);
  return most;
}

TEST(Engine, RequestsShareStepsAndWriteWhatTheyWriteAlone) {
  constexpr std::size_t kRequests = 12;
  std::vector<std::string> alone;
  for (std::size_t i = 0; i < kRequests; ++i) {
    Generator generator(make_fake(babble).loader());
    auto one = generator.generate(request_of(std::string(i * 5 + 1, 'p'), i));
    alone.push_back(one->at(0).text);
  }
  const FakeLoaded fake = make_fake(babble);
  Gate gate;
  fake.model->before_step = [&] { return gate.pass(); };
  Generator generator(fake.loader(), {.max_rows = 8, .kv_bytes = std::size_t{1} << 20});
  Answers answers;
  for (std::size_t i = 0; i < kRequests; ++i)
    ASSERT_TRUE(generator.submit(request_of(std::string(i * 5 + 1, 'p'), i), answers.at(i)));
  gate.open();
  answers.wait_for(kRequests);
  for (std::size_t i = 0; i < kRequests; ++i) EXPECT_EQ(answers.text(i), alone[i]) << i;
  EXPECT_EQ(most_sequences(*fake.model), 8);
  EXPECT_LT(fake.model->steps.size(), kRequests * 20 / 4) << "they ran together";
}

TEST(Engine, RowsJoinAndLeaveBetweenSteps) {
  const FakeLoaded fake = make_fake(babble);
  Generator generator(fake.loader(), {.max_rows = 4, .kv_bytes = std::size_t{1} << 20});
  Answers answers;
  auto first = request_of("first", 1, 60);
  first.on_token = [&](const TokenEvent& event) {
    // From the engine's own thread, in the middle of a step.
    if (event.index == 10) {
      EXPECT_TRUE(generator.submit(request_of("second", 2, 5), answers.at(1)));
    }
    return RowAction::kContinue;
  };
  ASSERT_TRUE(generator.submit(first, answers.at(0)));
  answers.wait_for(2);
  EXPECT_EQ(answers.order(), (std::vector<std::size_t>{1, 0})) << "the short one came and went";
}

TEST(Engine, AFullQueueAnswersAtOnce) {
  const FakeLoaded fake = make_fake(babble);
  Gate gate;
  fake.model->before_step = [&] { return gate.pass(); };
  Generator generator(fake.loader(),
                      {.max_rows = 2, .max_queue = 3, .kv_bytes = std::size_t{1} << 20});
  Answers answers;
  for (std::size_t i = 0; i < 5; ++i)
    ASSERT_TRUE(generator.submit(request_of("p", i), answers.at(i)));
  const auto refused = generator.submit(request_of("p", 9), answers.at(9));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBusy);
  EXPECT_EQ(generator.stats().requests_refused, 1u);
  gate.open();
  answers.wait_for(5);
  ASSERT_TRUE(generator.submit(request_of("p", 9), answers.at(5)));
  answers.wait_for(6);
  EXPECT_EQ(generator.stats().requests_done, 6u);
}

TEST(Engine, ClientsTakeTurns) {
  const FakeLoaded fake = make_fake(babble);
  Gate gate;
  fake.model->before_step = [&] { return gate.pass(); };
  Generator generator(fake.loader(), {.max_rows = 1, .kv_bytes = std::size_t{1} << 20});
  Answers answers;
  for (std::size_t i = 0; i < 6; ++i) {
    auto request = request_of("p", i, 3);
    request.client = i < 4 ? "greedy" : "modest";
    ASSERT_TRUE(generator.submit(request, answers.at(i)));
  }
  gate.open();
  answers.wait_for(6);
  // The first is begun before the others have come.
  const auto& order = answers.order();
  const auto place = [&](std::size_t index) {
    return std::find(order.begin(), order.end(), index) - order.begin();
  };
  EXPECT_LE(place(4), 2);
  EXPECT_LE(place(5), 4);
}

TEST(Engine, OneClientsManyRowsLeaveRoomForAnother) {
  const FakeLoaded fake = make_fake(babble);
  Generator generator(fake.loader(), {.max_rows = 2, .kv_bytes = std::size_t{1} << 20});
  Answers answers;
  auto many = request_of("many", 1, 10);
  many.samples = first_samples(30);
  many.client = "many";
  auto one = request_of("one", 2, 10);
  one.client = "one";
  many.on_token = [&](const TokenEvent& event) {
    if (event.row == 0 && event.index == 3) {
      EXPECT_TRUE(generator.submit(one, answers.at(1)));
    }
    return RowAction::kContinue;
  };
  ASSERT_TRUE(generator.submit(many, answers.at(0)));
  answers.wait_for(2);
  EXPECT_EQ(answers.order().front(), 1u);
}

TEST(Engine, ADeadlineEndsWhatRunsAndWhatWaits) {
  const FakeLoaded fake = make_fake(babble);
  fake.model->before_step = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return Result<void>();
  };
  Generator generator(fake.loader(), {.max_rows = 1, .kv_bytes = std::size_t{1} << 20});
  Answers answers;
  for (std::size_t i = 0; i < 2; ++i) {
    auto request = request_of("p", i, 4000);
    request.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(60);
    ASSERT_TRUE(generator.submit(request, answers.at(i)));
  }
  answers.wait_for(2);
  EXPECT_EQ(answers.error(0), ErrorCode::kTimeout);
  EXPECT_EQ(answers.error(1), ErrorCode::kTimeout);
  EXPECT_EQ(generator.stats().kv_blocks_in_use, 0);
}

TEST(Engine, AFailureEndsItsOwnRequestAlone) {
  const FakeLoaded fake = make_fake([](std::span<const std::int32_t> tokens) {
    std::vector<float> logits = babble(tokens);
    if (tokens[0] == 'X' && tokens.size() > 6) logits[3] = std::numeric_limits<float>::infinity();
    return logits;
  });
  Gate gate;
  fake.model->before_step = [&] { return gate.pass(); };
  Generator generator(fake.loader(), {.kv_bytes = std::size_t{1} << 20});
  Answers answers;
  ASSERT_TRUE(generator.submit(request_of("Xx", 1), answers.at(0)));
  ASSERT_TRUE(generator.submit(request_of("yy", 1), answers.at(1)));
  gate.open();
  answers.wait_for(2);
  EXPECT_EQ(answers.error(0), ErrorCode::kNumeric);
  EXPECT_EQ(answers.text(1).size(), 20u);
  EXPECT_EQ(generator.stats().kv_blocks_in_use, 0);
  EXPECT_EQ(generator.stats().requests_failed, 1u);
}

TEST(Engine, AStepThatFailsEndsWhatWasInItAndNoMore) {
  const FakeLoaded fake = make_fake(babble);
  int steps = 0;
  fake.model->before_step = [&]() -> Result<void> {
    if (++steps == 3)
      return fail({.code = ErrorCode::kIo, .where = "device", .problem = "is away"});
    return {};
  };
  Generator generator(fake.loader());
  const auto failed = generator.generate(request_of("p", 1));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kIo);
  EXPECT_TRUE(generator.generate(request_of("p", 1)));
}

TEST(Engine, RefusesATokenOutsideTheVocabularyBeforeOthersSufferIt) {
  Generator generator(make_fake(babble).loader());
  GenerationRequest request = request_of("", 1);
  request.prompt_tokens = {1, 2, 9999};
  const auto refused = generator.generate(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_NE(refused.error().to_string().find("9999"), std::string::npos);
}

TEST(Engine, ARequestLargerThanThePoolIsRefusedWithItsSize) {
  // A block of the fake holds 8 tokens in 32 bytes.
  Generator generator(make_fake(babble).loader(), {.kv_bytes = 32 * 4});
  const auto refused = generator.generate(request_of(std::string(30, 'p'), 1, 10));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  EXPECT_NE(refused.error().to_string().find("32 tokens"), std::string::npos);
  EXPECT_TRUE(generator.generate(request_of(std::string(20, 'p'), 1, 10)));
}

TEST(Engine, ManySamplesOfManyRequestsFitAPoolThatHoldsFewOfThem) {
  // Six blocks: each request has two full blocks of prompt, a tail, and two blocks a row.
  const FakeLoaded fake = make_fake(babble);
  Generator generator(fake.loader(), {.max_rows = 8, .kv_bytes = 32 * 6, .prefix_cache = true});
  Answers answers;
  for (std::size_t i = 0; i < 6; ++i) {
    auto request = request_of(std::string(17, static_cast<char>('a' + i)), i, 10);
    request.samples = first_samples(4);
    ASSERT_TRUE(generator.submit(request, answers.at(i)));
  }
  answers.wait_for(6);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(answers.text(i).size(), 10u) << answers.text(i);
  EXPECT_EQ(generator.stats().kv_blocks_in_use, generator.stats().kv_blocks_cached);
}

TEST(Engine, APoolWithoutABudgetGrowsUnderSteadyLoad) {
  const FakeLoaded fake = make_fake(babble);
  Generator generator(fake.loader(), {.max_rows = 8});
  ASSERT_TRUE(generator.generate(request_of("small", 0, 2)));
  std::vector<std::thread> clients;
  for (std::size_t i = 0; i < 8; ++i)
    clients.emplace_back([&, i] {
      for (std::size_t round = 0; round < 10; ++round) {
        EXPECT_TRUE(generator.generate(request_of(std::string(10 + i, 'p'), i, 20 + round)));
      }
    });
  for (std::thread& client : clients) client.join();
  EXPECT_GE(most_sequences(*fake.model), 6) << "clients that are always there run together";
  EXPECT_LE(fake.backend->pools.size(), 8u);
}

TEST(Engine, DrainFinishesWhatRunsAndTakesNoMore) {
  const FakeLoaded fake = make_fake(babble);
  Generator generator(fake.loader(), {.max_rows = 2, .kv_bytes = std::size_t{1} << 20});
  Answers answers;
  for (std::size_t i = 0; i < 6; ++i)
    ASSERT_TRUE(generator.submit(request_of("p", i), answers.at(i)));
  generator.drain();
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(answers.text(i).size(), 20u);
  const auto refused = generator.submit(request_of("p", 9), answers.at(9));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCancelled);
}

TEST(Engine, AGeneratorThatGoesCancelsWhatRuns) {
  const FakeLoaded fake = make_fake(babble);
  Answers answers;
  {
    Generator generator(fake.loader(), {.max_rows = 1, .kv_bytes = std::size_t{1} << 20});
    for (std::size_t i = 0; i < 4; ++i)
      ASSERT_TRUE(generator.submit(request_of("p", i, 4000), answers.at(i)));
  }
  answers.wait_for(4);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(answers.error(i), ErrorCode::kCancelled);
    EXPECT_EQ(answers.times(i), 1u);
  }
}

TEST(Engine, TellsTheLikeliestTokens) {
  Generator generator(make_fake(babble).loader());
  auto request = request_of("p", 1, 3);
  request.top_logprobs = 4;
  int events = 0;
  request.on_token = [&](const TokenEvent& event) {
    ++events;
    EXPECT_EQ(event.top.size(), 4u);
    for (std::size_t i = 1; i < event.top.size(); ++i)
      EXPECT_GE(event.top[i - 1].logprob, event.top[i].logprob);
    EXPECT_EQ(event.finished.has_value(), event.index == 2);
    return RowAction::kContinue;
  };
  ASSERT_TRUE(generator.generate(request));
  EXPECT_EQ(events, 3);
}

class EnginePrefix : public testing::Test {
 protected:
  std::shared_ptr<const AttachedAdapter> voice(float scale, const std::string& content) {
    auto adapter = std::make_shared<Adapter>();
    adapter->scale = scale;
    adapter->sha256 = content;
    return generator_.attach(adapter).value();
  }
  /// Text, and how many tokens of the prompt were found.
  std::pair<std::string, std::int64_t> run(const std::string& prompt,
                                           std::vector<AdapterUse> adapters = {}) {
    auto request = request_of(prompt, 5, 9);
    request.adapters = std::move(adapters);
    const auto completions = generator_.generate(request);
    EXPECT_TRUE(completions) << completions.error().to_string();
    return {completions->at(0).text, completions->at(0).cached_prompt_tokens};
  }

  FakeLoaded fake_ = make_fake(babble);
  Generator generator_{fake_.loader(), {.kv_bytes = 32 * 20, .prefix_cache = true}};
};

TEST_F(EnginePrefix, ABeginningIsComputedOnce) {
  const std::string prompt(30, 'p');
  const auto first = run(prompt);
  EXPECT_EQ(first.second, 0);
  const auto again = run(prompt);
  EXPECT_EQ(again.second, 24) << "three blocks of 8";
  EXPECT_EQ(again.first, first.first);
  EXPECT_EQ(run(std::string(24, 'p')).second, 16) << "a token is left to compute";
  EXPECT_EQ(run(std::string(17, 'p') + "another end").second, 16);
  EXPECT_EQ(run("q" + prompt).second, 0);
}

TEST_F(EnginePrefix, AConversationGoesOnFromItsAnswer) {
  const std::string prompt(14, 'p');
  const std::string answer = run(prompt).first;
  // 14 tokens and the eight that were fed: two blocks, and five tokens of a third.
  EXPECT_EQ(run(prompt + answer + " and on").second, 16);
}

TEST_F(EnginePrefix, VoicesNeverMeet) {
  const std::string prompt(30, 'p');
  const auto one = voice(1.0f, "one");
  const auto base = run(prompt);
  const auto first = run(prompt, {{one, 1.0f}});
  EXPECT_EQ(first.second, 0) << "the base's keys are not the voice's";
  EXPECT_NE(first.first, base.first);
  EXPECT_EQ(run(prompt, {{one, 2.0f}}).second, 0) << "another scale is another voice";
  EXPECT_EQ(run(prompt, {{voice(1.0f, "other"), 1.0f}}).second, 0) << "other content too";
  const auto again = run(prompt, {{voice(1.0f, "one"), 1.0f}});
  EXPECT_EQ(again.second, 24) << "the same content, whatever it is called";
  EXPECT_EQ(again.first, first.first);
  const auto off = run(prompt, {{one, 0.0f}});
  EXPECT_EQ(off.second, 24) << "at scale 0 it is the base";
  EXPECT_EQ(off.first, base.first);
}

TEST_F(EnginePrefix, TheLeastRecentlyUsedGoesFirst) {
  const std::string kept(30, 'k');
  run(kept);
  for (char c = 'a'; c < 'h'; ++c) {
    run(std::string(30, c));
    EXPECT_EQ(run(kept).second, 24) << c;
  }
  EXPECT_EQ(run(std::string(30, 'a')).second, 0);
  EXPECT_LE(generator_.stats().kv_blocks_in_use, 20);
}

TEST_F(EnginePrefix, WhatIsInUseIsNotEvicted) {
  // Requests that each need most of the pool, at once: they wait for one another.
  std::vector<std::string> alone;
  for (char c = 'a'; c < 'g'; ++c) alone.push_back(run(std::string(90, c)).first);
  std::vector<std::string> together(alone.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < alone.size(); ++i)
    threads.emplace_back(
        [&, i] { together[i] = run(std::string(90, static_cast<char>('a' + i))).first; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(together, alone);
}

/// What a prefix cache wrote, in memory.
struct SavedPrefixes {
  PrefixList list;
  std::vector<std::vector<std::byte>> blocks;

  PrefixSink sink() {
    return {.begin = [this](const PrefixList& told) -> Result<void> {
              list = told;
              return {};
            },
            .block = [this](std::span<const std::byte> bytes) -> Result<void> {
              blocks.emplace_back(bytes.begin(), bytes.end());
              return {};
            }};
  }
  PrefixSource source() const {
    return {.list = list, .block = [this](std::size_t i) -> Result<std::span<const std::byte>> {
              return std::span<const std::byte>(blocks.at(i));
            }};
  }
};

class EngineSavedPrefix : public EnginePrefix {
 protected:
  SavedPrefixes save() {
    SavedPrefixes saved;
    EXPECT_TRUE(generator_.save_prefixes(saved.sink()));
    EXPECT_EQ(saved.list.blocks.size(), saved.blocks.size());
    return saved;
  }
  static std::int64_t found(Generator& generator, const std::string& prompt) {
    return generator.generate(request_of(prompt, 5, 1)).value().at(0).cached_prompt_tokens;
  }
};

TEST_F(EngineSavedPrefix, IsFoundAgainByAnotherGenerator) {
  const std::string prompt(30, 'p');
  const auto one = voice(1.0f, "one");
  const auto base = run(prompt);
  const auto voiced = run(prompt, {{one, 1.0f}});
  const SavedPrefixes saved = save();

  const FakeLoaded fake = make_fake(babble);
  Generator later(fake.loader(), {.kv_bytes = 32 * 20, .prefix_cache = true});
  const auto count = later.load_prefixes(saved.source());
  ASSERT_TRUE(count) << count.error().to_string();
  EXPECT_EQ(*count, std::ssize(saved.blocks));
  auto request = request_of(prompt, 5, 9);
  auto completion = later.generate(request).value().at(0);
  EXPECT_EQ(completion.cached_prompt_tokens, 24);
  EXPECT_EQ(completion.text, base.first);
  auto adapter = std::make_shared<Adapter>();
  adapter->scale = 1.0f;
  adapter->sha256 = "one";
  request.adapters = {{later.attach(adapter).value(), 1.0f}};
  completion = later.generate(request).value().at(0);
  EXPECT_EQ(completion.cached_prompt_tokens, 24);
  EXPECT_EQ(completion.text, voiced.first);
}

TEST_F(EngineSavedPrefix, TheLatestComesFirstAndStaysLongest) {
  for (const char c : {'a', 'b', 'c'}) run(std::string(30, c));
  run(std::string(30, 'a'));
  const SavedPrefixes saved = save();
  ASSERT_EQ(saved.list.voices.size(), 1u);
  EXPECT_EQ(saved.list.blocks.front().tokens.front(), 'a');
  EXPECT_EQ(saved.list.blocks.back().tokens.front(), 'b');

  // Room for the first five blocks, of which a request then needs four.
  const FakeLoaded fake = make_fake(babble);
  Generator small(fake.loader(), {.kv_bytes = 32 * 5, .prefix_cache = true});
  EXPECT_EQ(small.load_prefixes(saved.source()).value(), 5);
  EXPECT_EQ(found(small, std::string(17, 'a')), 16);
  EXPECT_EQ(small.stats().kv_blocks, 5);
  Generator full(make_fake(babble).loader(), {.kv_bytes = 32 * 12, .prefix_cache = true});
  EXPECT_EQ(full.load_prefixes(saved.source()).value(), 12);
  EXPECT_EQ(found(full, std::string(30, 'z')), 0);
  EXPECT_EQ(found(full, std::string(30, 'b')), 0) << "the least recently used had to go";
  EXPECT_EQ(found(full, std::string(17, 'a')), 16);
}

TEST_F(EngineSavedPrefix, WhatIsThereAlreadyStays) {
  const std::string prompt(30, 'p');
  run(prompt);
  const SavedPrefixes saved = save();
  const auto before = generator_.stats().kv_blocks_cached;
  EXPECT_TRUE(generator_.load_prefixes(saved.source()));
  EXPECT_EQ(generator_.stats().kv_blocks_cached, before);
  EXPECT_EQ(generator_.stats().kv_blocks_in_use, before);
  EXPECT_EQ(run(prompt).second, 24);
}

TEST_F(EngineSavedPrefix, ListsThatNoCacheWroteAreRefusedWhole) {
  run(std::string(30, 'p'));
  const SavedPrefixes good = save();
  const auto refused = [&](const auto& spoil) {
    SavedPrefixes bad = good;
    spoil(bad.list.blocks);
    Generator generator(make_fake(babble).loader(), {.kv_bytes = 32 * 20, .prefix_cache = true});
    const auto result = generator.load_prefixes(bad.source());
    EXPECT_EQ(generator.stats().kv_blocks_in_use, result ? 4 : 0);
    return !result && result.error().code == ErrorCode::kMalformed;
  };
  EXPECT_FALSE(refused([](auto&) {}));
  EXPECT_TRUE(refused([](auto& blocks) { blocks[1].parent = 1; })) << "its own parent";
  EXPECT_TRUE(refused([](auto& blocks) { blocks[0].parent = 2; })) << "a cycle";
  EXPECT_TRUE(refused([](auto& blocks) { blocks[1].parent = -2; }));
  EXPECT_TRUE(refused([](auto& blocks) { blocks[1].voice = 1; }));
  EXPECT_TRUE(refused([](auto& blocks) { blocks[2].tokens.pop_back(); }));
  EXPECT_TRUE(refused([](auto& blocks) { blocks[2].tokens[3] = -1; }));
  EXPECT_TRUE(refused([](auto& blocks) { blocks[2].tokens[3] = kFakeVocab; }));
}

TEST_F(EngineSavedPrefix, AReadThatFailsTakesNothing) {
  run(std::string(30, 'p'));
  const SavedPrefixes saved = save();
  PrefixSource source = saved.source();
  source.block = [&](std::size_t i) -> Result<std::span<const std::byte>> {
    if (i == 2) return fail({.code = ErrorCode::kIo, .problem = "unplugged"});
    return std::span<const std::byte>(saved.blocks.at(i));
  };
  Generator generator(make_fake(babble).loader(), {.kv_bytes = 32 * 20, .prefix_cache = true});
  const auto failed = generator.load_prefixes(source);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kIo);
  EXPECT_EQ(generator.stats().kv_blocks_in_use, 0);
  EXPECT_EQ(found(generator, std::string(30, 'p')), 0);
}

TEST_F(EngineSavedPrefix, NothingIsListedBeforeTheModelIsThere) {
  SavedPrefixes saved;
  ASSERT_TRUE(generator_.save_prefixes(saved.sink()));
  EXPECT_TRUE(saved.list.blocks.empty());
  EXPECT_FALSE(generator_.loaded());
}

}  // namespace
}  // namespace bobby
