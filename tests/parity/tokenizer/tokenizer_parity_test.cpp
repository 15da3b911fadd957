// Ids and texts against Hugging Face `tokenizers`, on a corpus of several thousand strings. The
// goldens hold a digest of each string's ids; tools/oracle/tokenizer.py says how they were made.

#include <cstdlib>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "goldens.h"
#include "tokenizer/tokenizer.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> corpus() {
  std::vector<std::string> texts;
  for (const std::string& line : read_lines("corpus.jsonl"))
    texts.push_back(nlohmann::json::parse(line));
  return texts;
}

std::string ids_digest(const Tokenizer& tokenizer, const std::string& text) {
  return digest(fmt::format("{}", fmt::join(tokenizer.encode(text), ","))).substr(0, 6);
}

/// Streaming gives the same text, in valid pieces, wherever the tokens are cut.
std::string streamed(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids,
                     bool skip_special) {
  StreamDecoder decoder(tokenizer, skip_special);
  std::string text;
  for (const std::int32_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

void expect_identical(const Tokenizer& tokenizer, const std::string& name) {
  const std::vector<std::string> texts = corpus();
  const std::vector<std::string> expected = read_lines(name + ".ids");
  ASSERT_GE(texts.size(), 5000u);
  ASSERT_EQ(texts.size(), expected.size());
  int mismatches = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (ids_digest(tokenizer, texts[i]) == expected[i]) continue;
    if (++mismatches <= 10)
      ADD_FAILURE() << name << ", string " << i << ": "
                    << nlohmann::json(texts[i]).dump(-1, ' ', true)
                    << fmt::format(" gave {}", tokenizer.encode(texts[i]));
  }
  EXPECT_EQ(mismatches, 0) << "of " << texts.size();

  for (const auto& golden : read_json(name + ".decode.json")) {
    const auto ids = golden.at("ids").get<std::vector<std::int32_t>>();
    const auto text = golden.at("text").get<std::string>();
    const auto plain = golden.at("plain").get<std::string>();
    SCOPED_TRACE(fmt::format("{}: ids {}", name, ids));
    EXPECT_EQ(tokenizer.decode(ids), text);
    EXPECT_EQ(tokenizer.decode(ids, true), plain);
    EXPECT_EQ(streamed(tokenizer, ids, false), text);
    EXPECT_EQ(streamed(tokenizer, ids, true), plain);
  }
}

void expect_identical_file(const fs::path& file, const std::string& name) {
  const auto tokenizer = Tokenizer::from_file(file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
  expect_identical(*tokenizer, name);
}

class TinyTokenizer : public testing::TestWithParam<std::string> {};

TEST_P(TinyTokenizer, GivesTheSameIdsAndTexts) {
  expect_identical_file(kGoldens / (GetParam() + ".tokenizer.json"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Families, TinyTokenizer,
                         testing::Values("qwen", "llama3", "gpt2", "smollm", "general"),
                         [](const auto& test) { return test.param; });

fs::path qwen3_file() {
  if (const char* file = std::getenv("BOBBY_QWEN3_TOKENIZER")) return file;
  if (*BOBBY_QWEN3_TOKENIZER) return BOBBY_QWEN3_TOKENIZER;
  return fs::path(BOBBY_SOURCE_DIR) / "../shared/data/qwen3-tokenizer/tokenizer.json";
}

TEST(Qwen3Tokenizer, GivesTheSameIdsAndTexts) {
  if (!fs::exists(qwen3_file()))
    GTEST_SKIP() << "set BOBBY_QWEN3_TOKENIZER to Qwen3's tokenizer.json (no " << qwen3_file()
                 << ")";
  expect_identical_file(qwen3_file(), "qwen3");
}

TEST(DemoTokenizer, GivesTheSameIdsAndTexts) {
  const char* folder = std::getenv("BOBBY_DEMO_MODEL");
  if (!folder) GTEST_SKIP() << "set BOBBY_DEMO_MODEL to the folder of the imported demo model";
  expect_identical_file(fs::path(folder) / "tokenizer.json", "demo");
}

TEST(SplitBehavior, GivesTheSameIds) {
  std::ifstream stream(kGoldens / "smollm.tokenizer.json");
  auto file = nlohmann::json::parse(stream);
  const auto golden = read_json("behaviors.json");
  const std::vector<std::string> texts = corpus();
  const std::size_t every = golden.at("every");
  ASSERT_EQ(golden.at("cases").size(), 20u);
  for (const auto& [name, expected] : golden.at("cases").items()) {
    file["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers",
                              {expected.at("split"),
                               {{"type", "ByteLevel"},
                                {"add_prefix_space", false},
                                {"trim_offsets", true},
                                {"use_regex", false}}}}};
    const auto tokenizer = Tokenizer::from_json(file.dump(), name);
    ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
    std::string digests;
    for (std::size_t i = 0; i < texts.size(); i += every)
      digests += ids_digest(*tokenizer, texts[i]) + "\n";
    EXPECT_EQ(digest(digests).substr(0, 6), expected.at("ids").get<std::string>()) << name;
  }
}

}  // namespace
}  // namespace bobby
