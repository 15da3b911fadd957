// Reading JSONL in mlx-lm's four forms, and what is said of lines that are none of them.

#include "data/inspect/records.h"

#include <fstream>
#include <gtest/gtest.h>

namespace bobby::inspection {
namespace {

DataFile parse(std::string_view text) {
  auto file = parse_data(text, "train.jsonl");
  EXPECT_TRUE(file.has_value()) << file.error().to_string();
  return file ? *file : DataFile();
}

std::string error_of(std::string_view text) {
  const auto file = parse_data(text, "train.jsonl");
  EXPECT_FALSE(file.has_value());
  return file ? "" : file.error().to_string();
}

TEST(Records, EveryFormIsRead) {
  const DataFile file = parse(
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":"a"}]})"
      "\n"
      R"({"prompt":"p","completion":"c","language":"de","source":"bluesky"})"
      "\n\n"
      R"({"text":"t"})"
      "\r\n"
      R"({"messages":[{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":[{"id":1}]}],"tools":[{}]})");
  ASSERT_EQ(file.records.size(), 4u);
  EXPECT_EQ(file.blank_lines, 1);
  EXPECT_EQ(file.records[0].form, RecordForm::kChat);
  EXPECT_EQ(file.records[0].answer(), "a");
  EXPECT_EQ(file.records[0].prompt(), "u");
  EXPECT_EQ(file.records[0].system(), "s");
  EXPECT_EQ(file.records[1].form, RecordForm::kCompletions);
  EXPECT_EQ(file.records[1].answer(), "c");
  EXPECT_EQ(file.records[1].prompt(), "p");
  EXPECT_EQ(file.records[1].language, "de");
  EXPECT_EQ(file.records[1].source, "bluesky");
  EXPECT_EQ(file.records[2].form, RecordForm::kText);
  EXPECT_EQ(file.records[2].line, 4);
  EXPECT_EQ(file.records[2].prompt(), "");
  EXPECT_EQ(file.records[3].form, RecordForm::kTools);
  EXPECT_EQ(file.records[3].answer(), R"([{"id":1}])");
  EXPECT_EQ(file.records[1].json,
            R"({"prompt":"p","completion":"c","language":"de","source":"bluesky"})");
}

// mlx-lm asks for prompt and completion first, then for messages, then for text.
TEST(Records, WhatHasSeveralFormsIsOfTheFirst) {
  const DataFile file = parse(R"({"text":"t","messages":[{"role":"user","content":"u"}],)"
                              R"("prompt":"p","completion":"c"})"
                              "\n"
                              R"({"text":"t","messages":[{"role":"user","content":"u"}]})");
  ASSERT_EQ(file.records.size(), 2u);
  EXPECT_EQ(file.records[0].form, RecordForm::kCompletions);
  EXPECT_EQ(file.records[1].form, RecordForm::kChat);
}

TEST(Records, AWrongLineIsNamedWithWhatWasExpectedAndFound) {
  EXPECT_EQ(error_of("{\"text\":\"t\"}\n{\"post\":\"p\",\"id\":1}"),
            "train.jsonl:2: has none of mlx-lm's forms: expected \"messages\", \"prompt\" with "
            "\"completion\", or \"text\", found \"post\", \"id\"");
  EXPECT_EQ(error_of(R"({"text":7})"),
            "train.jsonl:1: key 'text' is not a text: expected a text, found a number");
  EXPECT_EQ(error_of(R"({"messages":[{"role":"user","content":["x"]}]})"),
            "train.jsonl:1: messages[0]: key 'content' is not a text: expected a text, found an "
            "array");
  EXPECT_EQ(error_of(R"({"messages":[{"role":"bot","content":"x"}]})"),
            "train.jsonl:1: messages[0]: the role is not known: expected system, user, assistant "
            "or tool, found \"bot\"");
  EXPECT_EQ(error_of(R"({"messages":[]})"),
            "train.jsonl:1: key 'messages' is empty: expected at least one message");
  EXPECT_EQ(error_of("[1]"),
            "train.jsonl:1: is not a JSON object: expected an object with \"messages\", \"prompt\" "
            "with \"completion\", or \"text\", found an array");
}

TEST(Records, HostileBytesEndInOneSentence) {
  EXPECT_NE(error_of("{\"text\":\"\xFF\"}").find("train.jsonl:1: is not JSON"), std::string::npos);
  EXPECT_NE(error_of("{\"text\":\"t\"").find("train.jsonl:1: is not JSON"), std::string::npos);
  EXPECT_NE(error_of("\xEF\xBB\xBF{\"text\":\"t\"}").find("byte order mark"), std::string::npos);
  EXPECT_NE(error_of(std::string(100000, '[')).find("train.jsonl:1"), std::string::npos);
  const std::string nested =
      R"({"text":"t","x":)" + std::string(5000, '[') + std::string(5000, ']') + "}";
  EXPECT_NE(error_of(nested).find("train.jsonl:1"), std::string::npos);
  const std::string escape =
      error_of("{\"messages\":[{\"role\":\"\\u001b[31m\",\"content\":\"\"}]}");
  EXPECT_EQ(escape.find('\033'), std::string::npos) << escape;
  const std::string line = "{\"text\":\"" + std::string(kLongestLine, 'x') + "\"}";
  EXPECT_NE(error_of(line).find("is too long"), std::string::npos);
}

TEST(Records, SixteenProblemsAreToldAndNoMore) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "{}\n";
  const auto file = parse_data(text, "train.jsonl");
  ASSERT_FALSE(file.has_value());
  EXPECT_EQ(file.error().also.size(), 15u);
  EXPECT_EQ(file.error().also.back().where, "train.jsonl:16");
}

TEST(Records, AFileThatIsNoneSaysSo) {
  const std::filesystem::path folder = testing::TempDir();
  EXPECT_EQ(read_data_file(folder / "absent.jsonl").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_data_file(folder).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace bobby::inspection
