// load_model, load_adapter, load_tokenizer, text_generation through the shared library.

#include <bobby/bobby.h>
#include <cstdlib>

#include "api_world.h"

namespace bobby_api_test {
namespace {

using TextGeneration = ApiTest;

std::string code_of(const bobby::Error& error) {
  return std::string(bobby::code_name(error.code));
}

TEST_F(TextGeneration, CompletesAPromptAsTheBinaryDoes) {
  auto model = bobby::load_model({.path = at("tiny")}).value();
  EXPECT_EQ(model.type(), "qwen3");
  EXPECT_EQ(model.vocab_size(), 259);
  auto adapter = bobby::load_adapter({.path = at("tiny-adapter")}, {.scale = 400.0f}).value();
  EXPECT_FLOAT_EQ(adapter.scale(), 400.0f);
  auto tokenizer = bobby::load_tokenizer({.path = at("tiny")}).value();
  const bobby::TextGenerationOptions options = {
      .adapter = adapter, .batch_size = 4, .sequence_length = 256, .max_tokens = 20, .seed = 7};
  auto serving = bobby::text_generation(model, tokenizer, options).value();
  const auto result = serving.batched_run("hello").value();
  const auto expected = posts_of_binary(
      {"1", "hello", "--seed", "7", "--raw", "--max-tokens", "20", "-a", "tiny-adapter:400"});
  EXPECT_EQ(result.tokens, expected.at(0)["tokens"]);
  EXPECT_EQ(result.finish_reason, expected.at(0)["finish_reason"]);
  EXPECT_DOUBLE_EQ(result.mean_logprob, expected.at(0)["mean_logprob"].get<double>());
}

TEST_F(TextGeneration, APromptInABatchIsCompletedAsAlone) {
  auto model = bobby::load_model({.path = at("tiny")}, {.threads = 1}).value();
  auto tokenizer = bobby::load_tokenizer({.path = at("tiny")}).value();
  auto serving =
      bobby::text_generation(model, tokenizer, {.batch_size = 3, .max_tokens = 12, .seed = 3})
          .value();
  const std::vector<std::string> prompts = {"one", "two", "three", "four", "five"};
  const auto together = serving.batched_run(prompts).value();
  ASSERT_EQ(together.size(), prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i)
    EXPECT_EQ(together[i].text, serving.batched_run(prompts[i]).value().text);
  EXPECT_EQ(serving.batched_run({"one", "two"}).value().at(1).text, together[1].text);
  EXPECT_TRUE(serving.batched_run(std::span<const std::string>()).value().empty());
}

TEST_F(TextGeneration, TheSequenceLengthBoundsPromptAndCompletion) {
  auto model = bobby::load_model({.path = at("tiny")}).value();
  auto tokenizer = bobby::load_tokenizer({.path = at("tiny")}).value();
  auto serving = bobby::text_generation(model, tokenizer,
                                        {.sequence_length = 40, .prompt_form = "raw", .seed = 1})
                     .value();
  EXPECT_LE(serving.batched_run("a prompt").value().tokens, 32);
  const auto too_long = serving.batched_run(std::string(60, 'x'));
  ASSERT_FALSE(too_long);
  EXPECT_EQ(code_of(too_long.error()), "limit");
  EXPECT_EQ(code_of(bobby::text_generation(model, tokenizer, {.batch_size = 0}).error()), "usage");
  EXPECT_EQ(code_of(bobby::text_generation(model, tokenizer, {.top_p = 2.0f}).error()), "usage");
  EXPECT_EQ(code_of(bobby::text_generation(model, tokenizer, {.prompt_form = "x"}).error()),
            "usage");
}

TEST_F(TextGeneration, SourcesAreAFolderOrInTheHubCache) {
  EXPECT_EQ(code_of(bobby::load_model({}).error()), "usage");
  EXPECT_EQ(code_of(bobby::load_model({.path = "a", .hf = "b/c"}).error()), "usage");
  EXPECT_EQ(code_of(bobby::load_model({.path = at("none")}).error()), "not_found");
  setenv("HF_HUB_CACHE", at("hub").c_str(), 1);
  setenv("HF_HUB_OFFLINE", "1", 1);
  EXPECT_EQ(code_of(bobby::load_model({.hf = "no name"}).error()), "usage");
  const auto missing = bobby::load_model({.hf = "someone/tiny"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(code_of(missing.error()), "not_found");
  EXPECT_NE(missing.error().message.find(at("hub")), std::string::npos) << missing.error().message;

  const std::string repository = at("hub/models--someone--tiny");
  e2e::write_file(repository + "/refs/main", "abc123");
  std::filesystem::create_directories(repository + "/snapshots");
  std::filesystem::copy(at("tiny"), repository + "/snapshots/abc123");
  EXPECT_TRUE(bobby::load_model({.hf = "someone/tiny"}));
  EXPECT_TRUE(bobby::load_tokenizer({.hf = "someone/tiny@abc123"}));
  unsetenv("HF_HUB_CACHE");
  unsetenv("HF_HUB_OFFLINE");
}

TEST_F(TextGeneration, AModelServesWithOneTokenizer) {
  auto model = bobby::load_model({.path = at("tiny")}).value();
  auto tokenizer = bobby::load_tokenizer({.path = at("tiny")}).value();
  EXPECT_TRUE(bobby::text_generation(model, tokenizer));
  EXPECT_TRUE(bobby::text_generation(model, bobby::load_tokenizer({.path = at("tiny")}).value()));
  e2e::write_file(at("other/tokenizer.json"), e2e::tiny_tokenizer().dump());
  auto other = bobby::load_tokenizer({.path = at("other")}).value();
  EXPECT_EQ(code_of(bobby::text_generation(model, other).error()), "usage");

  auto larger = e2e::tiny_tokenizer();
  auto token = larger["added_tokens"][0];
  token["id"] = 259;
  token["content"] = "<|one_more|>";
  larger["added_tokens"].push_back(token);
  e2e::write_file(at("larger/tokenizer.json"), larger.dump());
  auto fresh = bobby::load_model({.path = at("tiny")}).value();
  EXPECT_EQ(
      code_of(bobby::text_generation(fresh, bobby::load_tokenizer({.path = at("larger")}).value())
                  .error()),
      "mismatch");
}

TEST_F(TextGeneration, AServingOutlivesItsHandles) {
  auto serving = [] {
    auto model = bobby::load_model({.path = at("tiny")}).value();
    auto tokenizer = bobby::load_tokenizer({.path = at("tiny")}).value();
    auto adapter = bobby::load_adapter({.path = at("tiny-adapter")}).value();
    return bobby::text_generation(model, tokenizer,
                                  {.adapters = {adapter, bobby::Adapter()}, .max_tokens = 5})
        .value();
  }();
  EXPECT_TRUE(serving.batched_run("hello"));
  EXPECT_FALSE(bobby::Adapter());
  EXPECT_EQ(bobby::Adapter().scale(), 0.0f);
}

TEST_F(TextGeneration, TokensThereAndBack) {
  auto tokenizer = bobby::load_tokenizer({.path = at("tiny")}).value();
  EXPECT_EQ(tokenizer.vocab_size(), 259);
  const auto ids = tokenizer.encode("<|im_start|>hé");
  EXPECT_EQ(ids, (std::vector<std::int32_t>{257, 'h', 0xc3, 0xa9}));
  EXPECT_EQ(tokenizer.decode(ids).value(), "<|im_start|>hé");
  EXPECT_EQ(tokenizer.decode(ids, true).value(), "hé");
  const std::vector<std::int32_t> unknown = {100000};
  EXPECT_EQ(code_of(tokenizer.decode(unknown).error()), "limit");
}

}  // namespace
}  // namespace bobby_api_test
