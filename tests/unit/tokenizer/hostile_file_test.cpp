// Files that must be refused: each with one error that names the key.

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>

#include "small_file.h"
#include "tokenizer/tokenizer.h"

namespace bobby {
namespace {

using nlohmann::json;

struct Case {
  const char* name;
  std::function<void(json&)> spoil;
  ErrorCode code;
  const char* where;  ///< what the error's place ends with
};

json split(const char* regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

json byte_level() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
}

json nested(int depth) {
  json inner = byte_level();
  for (int i = 0; i < depth; ++i)
    inner = {{"type", "Sequence"}, {"pretokenizers", json::array({inner})}};
  return inner;
}

constexpr ErrorCode kBad = ErrorCode::kMalformed;
constexpr ErrorCode kUnknown = ErrorCode::kUnsupported;

const Case kCases[] = {
    {"no_model", [](json& f) { f.erase("model"); }, kBad, "'model'"},
    {"model_is_a_list", [](json& f) { f["model"] = json::array(); }, kBad, "'model'"},
    {"unigram", [](json& f) { f["model"]["type"] = "Unigram"; }, kUnknown, "'model'"},
    {"no_vocab", [](json& f) { f["model"].erase("vocab"); }, kBad, "'model.vocab'"},
    {"vocab_is_a_list",
     [](json& f) {
       f["model"]["vocab"] = {1, 2};
     },
     kBad, "'model.vocab'"},
    {"id_is_a_string", [](json& f) { f["model"]["vocab"]["z"] = "9"; }, kBad, "'model.vocab'"},
    {"id_is_a_fraction", [](json& f) { f["model"]["vocab"]["z"] = 9.5; }, kBad, "'model.vocab'"},
    {"id_is_negative", [](json& f) { f["model"]["vocab"]["z"] = -1; }, kBad, "'model.vocab'"},
    {"id_is_huge", [](json& f) { f["model"]["vocab"]["z"] = 1'000'000'000; }, ErrorCode::kLimit,
     "'model.vocab'"},
    {"id_past_int64", [](json& f) { f["model"]["vocab"]["z"] = UINT64_MAX; }, kBad,
     "'model.vocab'"},
    {"id_twice", [](json& f) { f["model"]["vocab"]["z"] = 0; }, kBad, "'model.vocab'"},
    {"no_merges", [](json& f) { f["model"].erase("merges"); }, kBad, "'model.merges'"},
    {"merges_is_a_string", [](json& f) { f["model"]["merges"] = "a b"; }, kBad, "'model.merges'"},
    {"merge_of_three",
     [](json& f) {
       f["model"]["merges"][1] = {"a", "b", "c"};
     },
     kBad, "'model.merges[1]'"},
    {"merge_of_numbers",
     [](json& f) {
       f["model"]["merges"][1] = {1, 2};
     },
     kBad, "'model.merges[1]'"},
    {"merge_line_without_a_space", [](json& f) { f["model"]["merges"][1] = "ab"; }, kBad,
     "'model.merges[1]'"},
    {"merge_of_an_unknown_token",
     [](json& f) {
       f["model"]["merges"][1] = {"a", "z"};
     },
     kBad, "'model.merges[1]'"},
    {"merge_into_an_unknown_token",
     [](json& f) {
       f["model"]["merges"][1] = {"a", "c"};
     },
     kBad, "'model.merges[1]'"},
    {"merge_outside_the_alphabet",
     [](json& f) {
       f["model"]["merges"][1] = {"日", "本"};
     },
     kBad, "'model.merges[1]'"},
    {"dropout", [](json& f) { f["model"]["dropout"] = 0.1; }, kUnknown, "'model.dropout'"},
    {"byte_fallback", [](json& f) { f["model"]["byte_fallback"] = true; }, kUnknown,
     "'model.byte_fallback'"},
    {"fuse_unk_is_a_string", [](json& f) { f["model"]["fuse_unk"] = "yes"; }, kBad,
     "'model.fuse_unk'"},
    {"prefix", [](json& f) { f["model"]["continuing_subword_prefix"] = "##"; }, kUnknown,
     "'model.continuing_subword_prefix'"},
    {"suffix", [](json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }, kUnknown,
     "'model.end_of_word_suffix'"},
    {"unk_outside_the_vocabulary", [](json& f) { f["model"]["unk_token"] = "<unk>"; }, kBad,
     "'model.unk_token'"},
    {"unknown_key_of_the_model", [](json& f) { f["model"]["novelty"] = 1; }, kUnknown,
     "'model.novelty'"},
    {"unknown_key", [](json& f) { f["novelty"] = 1; }, kUnknown, "'novelty'"},
    {"version", [](json& f) { f["version"] = "2.0"; }, kUnknown, "'version'"},
    {"truncation",
     [](json& f) {
       f["truncation"] = {{"max_length", 5}};
     },
     kUnknown, "'truncation'"},
    {"padding",
     [](json& f) {
       f["padding"] = {{"strategy", {{"Fixed", 5}}}};
     },
     kUnknown, "'padding.strategy'"},
    {"normalizer", [](json& f) { f["normalizer"]["type"] = "NFKC"; }, kUnknown, "'normalizer'"},
    {"normalizer_in_a_sequence",
     [](json& f) {
       f["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}}}};
     },
     kUnknown, "'normalizer.normalizers[0]'"},
    {"no_pre_tokenizer", [](json& f) { f["pre_tokenizer"] = nullptr; }, kUnknown,
     "'pre_tokenizer'"},
    {"metaspace",
     [](json& f) {
       f["pre_tokenizer"] = {{"type", "Metaspace"}};
     },
     kUnknown, "'pre_tokenizer'"},
    {"byte_level_not_last",
     [](json& f) {
       f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {byte_level(), split("a")}}};
     },
     kUnknown, "'pre_tokenizer.pretokenizers[1]'"},
    {"regex",
     [](json& f) {
       f["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers", {split("\\w+"), byte_level()}}};
     },
     kUnknown, "'pre_tokenizer.pretokenizers[0].pattern.Regex'"},
    {"behavior",
     [](json& f) {
       json step = split("a");
       step["behavior"] = "Shredded";
       f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {step, byte_level()}}};
     },
     kUnknown, "'pre_tokenizer.pretokenizers[0].behavior'"},
    {"empty_pattern",
     [](json& f) {
       f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split(""), byte_level()}}};
     },
     kUnknown, "'pre_tokenizer.pretokenizers[0].pattern'"},
    {"nested_deeply", [](json& f) { f["pre_tokenizer"] = nested(100); }, kUnknown,
     "pretokenizers[0]'"},
    {"nested_very_deeply", [](json& f) { f["pre_tokenizer"] = nested(600); }, kBad, "test.json"},
    {"post_processor",
     [](json& f) {
       f["post_processor"] = {{"type", "BertProcessing"}};
     },
     kUnknown, "'post_processor'"},
    {"no_decoder", [](json& f) { f["decoder"] = nullptr; }, kUnknown, "'decoder'"},
    {"decoder",
     [](json& f) {
       f["decoder"] = {{"type", "WordPiece"}};
     },
     kUnknown, "'decoder'"},
    {"added_tokens_is_an_object", [](json& f) { f["added_tokens"] = json::object(); }, kBad,
     "'added_tokens'"},
    {"added_token_without_content", [](json& f) { f["added_tokens"][0].erase("content"); }, kBad,
     "'added_tokens[0].content'"},
    {"added_token_flag", [](json& f) { f["added_tokens"][0]["lstrip"] = 1; }, kBad,
     "'added_tokens[0].lstrip'"},
    {"added_token_id_is_huge", [](json& f) { f["added_tokens"][0]["id"] = 1'000'000'000; }, kBad,
     "'added_tokens[0].id'"},
    {"added_token_id_leaves_a_gap", [](json& f) { f["added_tokens"][0]["id"] = 40; }, kBad,
     "'added_tokens[0]'"},
    {"added_token_id_contradicts_the_vocabulary",
     [](json& f) { f["added_tokens"][0]["content"] = "abc"; }, kBad, "'added_tokens[0]'"},
    {"added_token_twice", [](json& f) { f["added_tokens"][1] = f["added_tokens"][0]; }, kBad,
     "'added_tokens[1]'"},
};

class HostileFile : public testing::TestWithParam<Case> {};

TEST_P(HostileFile, IsRefusedByName) {
  json file = small_file();
  GetParam().spoil(file);
  const auto tokenizer = Tokenizer::from_json(file.dump(), "test.json");
  ASSERT_FALSE(tokenizer);
  const Error& error = tokenizer.error();
  EXPECT_EQ(error.code, GetParam().code) << error.to_string();
  EXPECT_TRUE(error.where.starts_with("test.json")) << error.to_string();
  EXPECT_TRUE(error.where.ends_with(GetParam().where)) << error.to_string();
  EXPECT_FALSE(error.problem.empty());
}

INSTANTIATE_TEST_SUITE_P(All, HostileFile, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(TokenizerFile, AllProblemsAreReportedTogether) {
  json file = small_file();
  file["truncation"] = 1;
  file["decoder"] = nullptr;
  file["model"]["vocab"]["z"] = -3;
  const auto tokenizer = Tokenizer::from_json(file.dump(), "test.json");
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().also.size(), 2u) << tokenizer.error().to_string();
}

TEST(TokenizerFile, AFloodOfProblemsIsCutShort) {
  json file = small_file();
  for (int i = 0; i < 10'000; ++i) file["model"]["vocab"][fmt::format("x{}", i)] = -1;
  const auto tokenizer = Tokenizer::from_json(file.dump(), "test.json");
  ASSERT_FALSE(tokenizer);
  EXPECT_LE(tokenizer.error().also.size(), 20u);
}

TEST(TokenizerFile, ATokenThatStandsTwiceIsRefused) {
  std::string text = small_file().dump();
  const std::size_t at = text.find("\"abc\":8");
  ASSERT_NE(at, std::string::npos);
  text.insert(at, "\"abc\":20,");
  EXPECT_FALSE(Tokenizer::from_json(text, "test.json"));
}

TEST(TokenizerFile, EveryTruncationIsRefused) {
  const std::string text = small_file().dump();
  for (std::size_t length = 0; length < text.size(); ++length) {
    const auto tokenizer = Tokenizer::from_json(std::string_view(text).substr(0, length), "cut");
    ASSERT_FALSE(tokenizer) << length;
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kMalformed);
  }
}

TEST(TokenizerFile, BytesThatAreNotJsonAreRefused) {
  for (const std::string& text :
       {std::string("\xFF\xFE{}"), std::string("{\"a\":\"\xC3\"}"), std::string(100'000, '['),
        std::string(1'000, '\0'), std::string("[]"), std::string("null"), std::string("7")}) {
    const auto tokenizer = Tokenizer::from_json(text, "test.json");
    ASSERT_FALSE(tokenizer);
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kMalformed) << tokenizer.error().to_string();
  }
}

TEST(TokenizerFile, APathThatCannotBeReadIsNamed) {
  const auto missing = Tokenizer::from_file("no/such/tokenizer.json");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(missing.error().where, "no/such/tokenizer.json");
  const auto folder = Tokenizer::from_file(std::filesystem::temp_directory_path());
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace bobby
