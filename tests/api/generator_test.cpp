// bobby::Generator through the shared library, beside the binary.

#include <atomic>
#include <bobby/bobby.h>
#include <thread>

#include "api_world.h"

namespace bobby_api_test {
namespace {

using Generated = ApiTest;

bobby::GenerateOptions raw_request() {
  return {.prompt = "hello", .count = 3, .max_tokens = 20, .seed = 7, .raw = true};
}

std::string repaired(const std::string& text) {
  bobby::PostBatch batch;
  batch.posts.push_back({.text = text});
  return nlohmann::json::parse(bobby::to_json(batch))["posts"][0]["text"];
}

TEST_F(Generated, TheSameSeedWritesWhatTheBinaryWrites) {
  bobby::Generator generator({.model = at("tiny")});
  const auto batch = generator.generate(raw_request());
  ASSERT_TRUE(batch) << batch.error().message;
  const auto expected =
      posts_of_binary({"3", "hello", "--seed", "7", "--raw", "--max-tokens", "20"});
  ASSERT_EQ(batch->posts.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const bobby::Post& post = batch->posts[i];
    EXPECT_EQ(repaired(post.text), expected[i]["text"]);
    EXPECT_EQ(post.index, i);
    EXPECT_EQ(post.seed, 7u);
    EXPECT_EQ(post.tokens, expected[i]["tokens"]);
    EXPECT_EQ(post.graphemes, expected[i]["graphemes"]);
    EXPECT_EQ(post.finish_reason, expected[i]["finish_reason"]);
    EXPECT_DOUBLE_EQ(post.mean_logprob, expected[i]["mean_logprob"].get<double>());
  }
}

TEST_F(Generated, CleanPostsAndTheirSettingsAreTheBinarysToo) {
  bobby::Generator generator({.model = at("tiny"), .device = "reference", .threads = 1});
  const auto batch = generator.generate({.prompt = "hello",
                                         .system = "Be brief.",
                                         .count = 2,
                                         .max_tokens = 60,
                                         .temperature = 0.8f,
                                         .top_p = 0.95f,
                                         .top_k = 40,
                                         .min_p = 0.01f,
                                         .repetition_penalty = 1.1f,
                                         .seed = 11,
                                         .char_limit = 40,
                                         .min_chars = 1,
                                         .keep_emojis = true,
                                         .keep_hashtags = true,
                                         .retries = 2});
  ASSERT_TRUE(batch) << batch.error().message;
  const auto expected = posts_of_binary({"2",
                                         "hello",
                                         "--system",
                                         "Be brief.",
                                         "--max-tokens",
                                         "60",
                                         "--temperature",
                                         "0.8",
                                         "--top-p",
                                         "0.95",
                                         "--top-k",
                                         "40",
                                         "--min-p",
                                         "0.01",
                                         "--repetition-penalty",
                                         "1.1",
                                         "--seed",
                                         "11",
                                         "--char-limit",
                                         "40",
                                         "--min-chars",
                                         "1",
                                         "--keep-emojis",
                                         "--keep-hashtags",
                                         "--retries",
                                         "2",
                                         "--device",
                                         "reference"});
  ASSERT_EQ(batch->posts.size(), expected.size());
  EXPECT_EQ(batch->missing, 2 - std::ssize(batch->posts));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(batch->posts[i].text, expected[i]["text"]);
    EXPECT_EQ(batch->posts[i].tries, expected[i]["tries"]);
  }
}

TEST_F(Generated, SeveralAdaptersAreSummedAtTheirScales) {
  const auto texts = [](const std::vector<std::string>& adapters) {
    bobby::Generator generator({.model = at("tiny"), .adapters = adapters});
    auto batch = generator.generate(raw_request()).value();
    std::vector<std::string> result;
    for (const bobby::Post& post : batch.posts) result.push_back(repaired(post.text));
    return result;
  };
  const std::string adapter = at("tiny-adapter");
  const auto summed = texts({adapter + ":400", adapter + ":100"});
  EXPECT_NE(summed, texts({}));
  const auto expected = posts_of_binary({"3", "hello", "--seed", "7", "--raw", "--max-tokens", "20",
                                         "-a", "tiny-adapter:400", "-a", "tiny-adapter:100"});
  ASSERT_EQ(summed.size(), expected.size());
  for (std::size_t i = 0; i < summed.size(); ++i) EXPECT_EQ(summed[i], expected[i]["text"]);
}

TEST_F(Generated, LoadsAtFirstUseOrWhenPrewarmed) {
  bobby::Generator generator({.model = at("tiny")});
  EXPECT_FALSE(generator.loaded());
  EXPECT_EQ(generator.memory_stats().weight_bytes, 0u);
  std::vector<std::string> phases;
  std::uint64_t done = 0;
  ASSERT_TRUE(generator.prewarm([&](const bobby::Progress& progress) {
    phases.emplace_back(progress.phase);
    EXPECT_GE(progress.done, done);
    EXPECT_LE(progress.done, progress.total);
    done = progress.done;
  }));
  EXPECT_TRUE(generator.loaded());
  EXPECT_FALSE(phases.empty());
  EXPECT_GT(generator.memory_stats().weight_bytes, 0u);
  phases.clear();
  ASSERT_TRUE(generator.prewarm([&](const bobby::Progress& p) { phases.emplace_back(p.phase); }));
  EXPECT_TRUE(phases.empty());

  ASSERT_TRUE(generator.generate(raw_request()));
  EXPECT_GT(generator.memory_stats().kv_bytes, 0u);
  const auto trace = nlohmann::json::parse(generator.last_trace());
  EXPECT_GT(trace["prompt_tokens"].get<int>(), 0);
  bobby::Generator moved = std::move(generator);
  EXPECT_TRUE(moved.loaded());
}

TEST_F(Generated, StreamsTheRawTextOfEachPost) {
  bobby::Generator generator({.model = at("tiny")});
  bobby::GenerateOptions request = raw_request();
  std::vector<std::string> pieces(3);
  std::uint64_t prompt = 0;
  request.on_text = [&](std::uint32_t index, int attempt, std::string_view text) {
    EXPECT_EQ(attempt, 0);
    pieces.at(index) += text;
  };
  request.on_prefill = [&](const bobby::Progress& progress) { prompt = progress.total; };
  const auto batch = generator.generate(request).value();
  ASSERT_EQ(batch.posts.size(), 3u);
  for (const bobby::Post& post : batch.posts) EXPECT_EQ(pieces[post.index], post.text);
  EXPECT_GT(prompt, 0u);
}

TEST_F(Generated, StopsWhenCancelled) {
  bobby::Generator generator({.model = at("tiny")});
  bobby::GenerateOptions request = raw_request();
  request.max_tokens = 400;
  std::atomic<bool> cancel = false;
  request.cancel = &cancel;
  request.on_text = [&](std::uint32_t, int, std::string_view) { cancel = true; };
  const auto batch = generator.generate(request).value();
  EXPECT_TRUE(batch.cancelled);
  EXPECT_GT(batch.missing, 0);
  EXPECT_TRUE(nlohmann::json::parse(bobby::to_json(batch))["cancelled"].get<bool>());
}

TEST_F(Generated, AnExceptionOfACallbackStopsAndComesOut) {
  bobby::Generator generator({.model = at("tiny")});
  bobby::GenerateOptions request = raw_request();
  request.max_tokens = 400;
  int calls = 0;
  request.on_text = [&](std::uint32_t, int, std::string_view) {
    ++calls;
    throw std::runtime_error("mine");
  };
  try {
    (void)generator.generate(request);
    FAIL() << "no exception came out";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "mine");
  }
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(generator.generate(raw_request()));
}

TEST_F(Generated, SeveralThreadsWriteWhatOneWrites) {
  bobby::Generator generator({.model = at("tiny"), .adapters = {at("tiny-adapter")}});
  const auto text = [&](std::uint64_t seed) {
    bobby::GenerateOptions request = raw_request();
    request.seed = seed;
    request.count = 1;
    return generator.generate(request).value().posts.at(0).text;
  };
  std::vector<std::string> together(6);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < together.size(); ++i)
    threads.emplace_back([&, i] { together[i] = text(i); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < together.size(); ++i) EXPECT_EQ(together[i], text(i));
}

TEST_F(Generated, EveryFieldOutOfItsRangeIsNamed) {
  bobby::Generator generator({.model = at("tiny")});
  const auto batch = generator.generate({.count = 0, .max_tokens = -1, .temperature = -1.0f});
  ASSERT_FALSE(batch);
  EXPECT_EQ(batch.error().code, bobby::ErrorCode::kUsage);
  for (const char* field : {"count", "max_tokens", "temperature"})
    EXPECT_NE(batch.error().message.find(field), std::string::npos) << batch.error().message;
  for (const bobby::GeneratorOptions& options :
       {bobby::GeneratorOptions{.model = at("tiny"), .device = "gpu"},
        bobby::GeneratorOptions{.model = at("tiny"), .threads = -1},
        bobby::GeneratorOptions{.model = at("tiny"), .kv = "f64"},
        bobby::GeneratorOptions{.model = at("tiny"), .max_context = -5}})
    EXPECT_EQ(bobby::Generator(options).prewarm().error().code, bobby::ErrorCode::kUsage);
}

TEST_F(Generated, WhatIsNotThereIsAnErrorAndMayComeLater) {
  bobby::Generator generator({.model = at("later")});
  EXPECT_EQ(generator.prewarm().error().code, bobby::ErrorCode::kNotFound);
  EXPECT_EQ(generator.generate(raw_request()).error().code, bobby::ErrorCode::kNotFound);
  EXPECT_FALSE(generator.loaded());
  std::filesystem::copy(at("tiny"), at("later"));
  EXPECT_TRUE(generator.prewarm());

  e2e::write_file(at("broken/config.json"), "{");
  EXPECT_EQ(bobby::Generator({.model = at("broken")}).prewarm().error().code,
            bobby::ErrorCode::kMalformed);
  EXPECT_EQ(
      bobby::Generator({.model = at("tiny"), .adapters = {at("none")}}).prewarm().error().code,
      bobby::ErrorCode::kNotFound);
}

TEST_F(Generated, NeitherVariablesNorConfigFilesCount) {
  setenv("BOBBY_MAX_TOKENS", "no number", 1);
  setenv("BOBBY_DEVICE", "reference", 1);
  bobby::Generator generator({.model = at("tiny")});
  const auto batch = generator.generate(raw_request());
  unsetenv("BOBBY_MAX_TOKENS");
  unsetenv("BOBBY_DEVICE");
  EXPECT_TRUE(batch) << batch.error().message;
}

}  // namespace
}  // namespace bobby_api_test
