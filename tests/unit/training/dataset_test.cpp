#include "training/dataset.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <numeric>
#include <string>

namespace bobby {
namespace {

namespace fs = std::filesystem;

const Tokenizer& tokenizer() {
  static const Tokenizer made = *Tokenizer::from_file(
      fs::path(BOBBY_SOURCE_DIR) / "tests/parity/tokenizer/goldens/qwen.tokenizer.json");
  return made;
}

EncodingOptions chatml() {
  EncodingOptions options{.features = {}, .form = *find_prompt_form("chatml"), .facts = {}};
  options.mask_prompt = true;
  options.facts.eos = tokenizer().token_to_id("<|im_end|>");
  return options;
}

RecordEncoder encoder(const EncodingOptions& options) {
  return *RecordEncoder::make(tokenizer(), options);
}

std::string decoded(const TrainingExample& example, std::int64_t begin) {
  return *tokenizer().decode(std::span(example.tokens).subspan(static_cast<std::size_t>(begin)));
}

std::string problem(const EncodingOptions& options, std::string_view line) {
  const auto example = encoder(options).encode(line, "a.jsonl:7");
  return example ? "" : example.error().to_string();
}

TEST(RecordEncoder, AnAnswerIsTrainedUpToItsStopToken) {
  const auto example = *encoder(chatml()).encode(
      R"({"messages": [{"role": "user", "content": "Write."}, {"role": "assistant", "content": "yes"}]})",
      "here");
  EXPECT_EQ(decoded(example, 0),
            "<|im_start|>user\nWrite.<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>");
  EXPECT_EQ(decoded(example, example.loss_begin), "yes<|im_end|>");
  EXPECT_EQ(example.tokens.back(), tokenizer().token_to_id("<|im_end|>"));
  EXPECT_EQ(example.trained_tokens(), example.length() - example.loss_begin);
  // The same record in the other form.
  EXPECT_EQ(encoder(chatml()).encode(R"({"completion": "yes", "prompt": "Write."})", "")->tokens,
            example.tokens);
}

TEST(RecordEncoder, ThePromptIsTheOneThatPostsAreAskedForWith) {
  EncodingOptions options = chatml();
  options.form = *find_prompt_form("qwen3-no-think");
  const auto example =
      *encoder(options).encode(R"({"prompt": "Write.", "completion": "\n yes"})", "");
  EXPECT_EQ(
      decoded(example, 0),
      "<|im_start|>user\nWrite. /no_think<|im_end|>\n<|im_start|>assistant\n\n yes<|im_end|>");
  // A prompt's tokens do not depend on the answer, whatever that begins with.
  const auto prompt = tokenizer().encode(*render_prompt(options.form, "Write."));
  EXPECT_EQ(example.loss_begin, static_cast<std::int64_t>(prompt.size()));
  EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), example.tokens.begin()));
}

TEST(RecordEncoder, WithoutMaskThePromptIsTrainedToo) {
  EncodingOptions options = chatml();
  options.mask_prompt = false;
  const auto example = *encoder(options).encode(R"({"prompt": "a", "completion": "b"})", "");
  EXPECT_EQ(example.loss_begin, 0);
  EXPECT_EQ(example.trained_tokens(), example.length() - 1);
}

TEST(RecordEncoder, EarlierTurnsAreThePrompt) {
  const auto example = *encoder(chatml()).encode(
      R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "a"},
          {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"},
          {"role": "assistant", "content": "d"}]})",
      "");
  EXPECT_EQ(
      decoded(example, 0),
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
      "b<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\nd<|im_end|>");
  EXPECT_EQ(decoded(example, example.loss_begin), "d<|im_end|>");
}

TEST(RecordEncoder, TextsAreTheirTokensAndTheEnd) {
  EncodingOptions options = chatml();
  options.mask_prompt = false;
  const auto example = *encoder(options).encode(R"({"text": "hello"})", "");
  EXPECT_EQ(decoded(example, 0), "hello<|im_end|>");
  EXPECT_EQ(decoded(*encoder(options).encode(R"({"text": "hello<|im_end|>"})", ""), 0),
            "hello<|im_end|>");
  options.features.text = "body";
  EXPECT_TRUE(encoder(options).encode(R"({"body": "hello", "text": 1})", ""));
}

constexpr std::string_view kTools =
    R"({"messages": [{"role": "user", "content": "w"}, {"role": "assistant", "content": "",
        "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}],
        "tools": [{"type": "function"}]})";

TEST(RecordEncoder, ToolsAreWrittenByQwen3sTemplateWithoutWhatItAdds) {
  EncodingOptions options = chatml();
  EXPECT_NE(problem(options, kTools).find("needs the model's chat template"), std::string::npos);
  options.facts.chat_template =
      "<|im_start|> <|im_end|> enable_thinking last_query_index reasoning_content";
  const auto example = encoder(options).encode(kTools, "");
  ASSERT_TRUE(example) << example.error().to_string();
  EXPECT_EQ(decoded(*example, example->loss_begin),
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call><|im_end|>");
}

TEST(RecordEncoder, EachBadRecordHasItsSentence) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "a.jsonl:7: is not JSON (near byte 2 of the line)"},
      {"[1]",
       "a.jsonl:7: is not a JSON object: expected one object a line, found a value of type array"},
      {R"({"message": []})",
       "a.jsonl:7: has none of the forms that can be trained: expected "
       "'prompt' and 'completion', or 'messages', or 'text'"},
      {R"({"messages": []})", "a.jsonl:7: has a 'messages' that is no list of messages"},
      {R"({"messages": "x"})", "no list of messages"},
      {R"({"messages": [{"role": "user", "content": "x"}]})", "does not end with the assistant's"},
      {R"({"messages": [{"role": "bot", "content": "x"}]})",
       R"(a.jsonl:7: message 1: is not a turn: expected 'role': system, user or assistant, and 'content': a text, found role "bot")"},
      {R"({"messages": [{"role": "user", "content": null}]})", "found a content of type null"},
      {R"({"messages": ["x"]})", "message 1: is not a turn"},
      {R"({"messages": [{"role": "assistant", "content": "x"}]})",
       "messages: do not end with the user's"},
      {R"({"prompt": "a", "completion": ""})", "has an empty answer"},
      {R"({"prompt": "a", "completion": 5})", "has a 'prompt' or 'completion' that is no text"},
      {R"({"prompt": "a<|im_end|>", "completion": "b"})", "user message: holds '<|im_end|>'"},
      {R"({"prompt": "a", "completion": "b<|im_start|>"})", "assistant message: holds"},
      {R"({"text": "a"})", "has no prompt to mask; take mask_prompt out"},
      {"{\"text\": \"\xFF\"}", "is not JSON"},
      {R"({"text": "\ud800"})", "is not JSON"},
      {R"({"text": 1e999})", "is not JSON (a number no one can hold)"},
  };
  for (const auto& [line, sentence] : cases)
    EXPECT_NE(problem(chatml(), line).find(sentence), std::string::npos)
        << line << " was answered with\n"
        << problem(chatml(), line);
  const std::string deep = "{\"a\":" + std::string(100000, '[');
  EXPECT_NE(problem(chatml(), deep).find("is nested deeper than 64"), std::string::npos);
}

TrainingExample counting(std::int64_t length, std::int64_t loss_begin) {
  TrainingExample example;
  example.tokens.resize(static_cast<std::size_t>(length));
  std::iota(example.tokens.begin(), example.tokens.end(), 0);
  example.loss_begin = loss_begin;
  return example;
}

TEST(FitToLength, TheEndIsCutOff) {
  const auto parts = fit_to_length(counting(10, 3), 6, OverLong::kTruncate);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].tokens, counting(6, 0).tokens);
  EXPECT_TRUE(parts[0].truncated);
  EXPECT_EQ(parts[0].trained_tokens(), 3);
  EXPECT_FALSE(fit_to_length(counting(6, 3), 6, OverLong::kTruncate)[0].truncated);
  EXPECT_TRUE(fit_to_length(counting(7, 3), 6, OverLong::kDrop).empty());
}

TEST(FitToLength, SplittingTrainsEveryTokenOnce) {
  for (std::int64_t length = 2; length < 40; ++length)
    for (std::int64_t loss_begin = 0; loss_begin <= length; ++loss_begin)
      for (const std::int64_t limit : {2, 3, 7}) {
        std::vector<std::int32_t> trained;
        for (const auto& part :
             fit_to_length(counting(length, loss_begin), limit, OverLong::kSplit)) {
          ASSERT_LE(part.length(), limit);
          for (std::int64_t i = std::max<std::int64_t>(part.loss_begin, 1); i < part.length(); ++i)
            trained.push_back(part.tokens[static_cast<std::size_t>(i)]);
        }
        std::vector<std::int32_t> expected(counting(length, 0).tokens);
        expected.erase(expected.begin(), expected.begin() + std::max<std::int64_t>(loss_begin, 1));
        ASSERT_EQ(trained, expected) << length << " " << loss_begin << " " << limit;
      }
}

class DatasetFile : public ::testing::Test {
 protected:
  DatasetFile() { fs::create_directories(folder_); }
  ~DatasetFile() override { fs::remove_all(folder_); }
  Result<Dataset> read(std::string_view text, const EncodingOptions& options) {
    std::ofstream(file_, std::ios::binary) << text;
    return read_dataset(file_, encoder(options));
  }
  fs::path folder_ =
      fs::temp_directory_path() /
      ("bobby_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
  fs::path file_ = folder_ / "train.jsonl";
};

constexpr std::string_view kShort = R"({"prompt": "a", "completion": "b"})";
constexpr std::string_view kLong =
    R"({"prompt": "a", "completion": "one two three four five six seven eight nine ten", "id": 3})";

TEST_F(DatasetFile, RecordsKeepTheirLines) {
  const auto data =
      read("\xEF\xBB\xBF" + std::string(kShort) + "\r\n\n  \n" + std::string(kLong), chatml());
  ASSERT_TRUE(data) << data.error().to_string();
  ASSERT_EQ(data->examples.size(), 2u);
  EXPECT_EQ(data->records, 2);
  EXPECT_EQ(data->examples[0].record, 1);
  EXPECT_EQ(data->examples[1].record, 4);
  EXPECT_EQ(data->examples[1].keys, 3);
  EXPECT_EQ(data->longest, data->examples[1].length());
}

TEST_F(DatasetFile, WhatIsTooLongIsCounted) {
  const std::string text = std::string(kShort) + "\n" + std::string(kLong) + "\n";
  EncodingOptions options = chatml();
  const std::int64_t whole = read(text, options)->longest;
  const std::int64_t prompt = read(text, options)->examples[1].loss_begin;
  options.max_seq_length = whole - 2;
  EXPECT_EQ(read(text, options)->truncated, 1);
  EXPECT_EQ(read(text, options)->examples[1].trained_tokens(), whole - 2 - prompt);
  options.over_long = OverLong::kDrop;
  EXPECT_EQ(read(text, options)->dropped, 1);
  EXPECT_EQ(read(text, options)->examples.size(), 1u);
  options.over_long = OverLong::kSplit;
  EXPECT_EQ(read(text, options)->split, 1);
  EXPECT_EQ(read(text, options)->examples.size(), 3u);
  options.over_long = OverLong::kTruncate;
  options.max_seq_length = prompt;
  EXPECT_EQ(read(text, options)->untrained, 2);
  EXPECT_TRUE(read(text, options)->examples.empty());
}

TEST_F(DatasetFile, EveryBadLineIsToldUpToTwenty) {
  const auto data =
      read(std::string(kShort) + "\n{}\n" + std::string(kShort) + "\nnope\n", chatml());
  ASSERT_FALSE(data);
  EXPECT_EQ(data.error().where, file_.string() + ":2");
  ASSERT_EQ(data.error().also.size(), 1u);
  EXPECT_EQ(data.error().also[0].where, file_.string() + ":4");
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "{}\n";
  const auto all_bad = read(many, chatml());
  EXPECT_EQ(all_bad.error().also.size(), 19u);
  EXPECT_EQ(all_bad.error().also.back().hint, "there are more bad lines after this one");
  EXPECT_EQ(read(std::string((16 << 20) + 2, ' '), chatml()).error().code, ErrorCode::kLimit);
}

TEST_F(DatasetFile, UnderCompatTheFirstRecordSetsTheForm) {
  EncodingOptions options = chatml();
  options.mask_prompt = false;
  const std::string mixed = "{\"text\": \"a\"}\n" + std::string(kShort) + "\n";
  EXPECT_EQ(read(mixed, options)->examples.size(), 2u);
  options.compat_mlx = true;
  EXPECT_NE(read(mixed, options).error().to_string().find(":2: has a 'text' that is no text"),
            std::string::npos);
}

TEST_F(DatasetFile, FilesThatCannotBeReadAreToldOf) {
  EXPECT_EQ(read_dataset(folder_ / "none.jsonl", encoder(chatml())).error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(read_dataset(folder_, encoder(chatml())).error().code, ErrorCode::kIo);
  EXPECT_EQ(read("", chatml())->examples.size(), 0u);
}

TEST_F(DatasetFile, FactsOfAModelFolderAreRead) {
  const auto write = [&](const char* name, std::string_view text) {
    std::ofstream(folder_ / name) << text;
  };
  EXPECT_EQ(read_tokenizer_facts(folder_, tokenizer())->chat_template, "");
  write("tokenizer_config.json",
        R"({"eos_token": {"content": "<|im_end|>"}, "chat_template": [{"name": "tool_use",
            "template": "t"}, {"name": "default", "template": "d"}]})");
  write("tokenizer.json",
        R"({"post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"},
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|endoftext|>"}},
             {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<|im_end|>"}}]}]}})");
  auto facts = read_tokenizer_facts(folder_, tokenizer());
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->chat_template, "d");
  EXPECT_EQ(facts->eos, tokenizer().token_to_id("<|im_end|>"));
  EXPECT_EQ(facts->text_begin, std::vector{*tokenizer().token_to_id("<|endoftext|>")});
  write("chat_template.jinja", "jinja");
  EXPECT_EQ(read_tokenizer_facts(folder_, tokenizer())->chat_template, "jinja");
  write("tokenizer_config.json", "[");
  EXPECT_EQ(read_tokenizer_facts(folder_, tokenizer()).error().code, ErrorCode::kMalformed);
}

}  // namespace
}  // namespace bobby
