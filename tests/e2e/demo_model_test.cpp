// The demo model, when it is there: BOBBY_DEMO_MODEL, or where `make post` puts it.

#include <cstdlib>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bobby_process.h"

namespace bobby::e2e {
namespace {

std::filesystem::path demo_model() {
  if (const char* named = std::getenv("BOBBY_DEMO_MODEL"); named != nullptr && *named != '\0')
    return named;
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path base =
      data != nullptr && *data != '\0'
          ? std::filesystem::path(data)
          : std::filesystem::path(home != nullptr ? home : ".") / ".local/share";
  return base / "bobby/models/demo";
}

class DemoModel : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(demo_model() / "config.json"))
      GTEST_SKIP() << "no demo model at " << demo_model() << " (`make post` fetches it)";
  }

  Outcome run(std::vector<std::string> words, const std::string& input = {}) {
    words.insert(words.end(), {"--model", demo_model().string()});
    return run_bobby(world_, words, input);
  }

  TemporaryFolder folder_;
  World world_{folder_.path()};
};

TEST_F(DemoModel, WritesPostsWithinTheirLimits) {
  const Outcome outcome = run({"post", "3", "write about coffee", "--seed", "1", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  int posts = 0;
  for (std::string line; std::getline(lines, line); ++posts) {
    const auto post = nlohmann::json::parse(line);
    EXPECT_GE(post["graphemes"].get<int>(), 20);
    EXPECT_LE(post["graphemes"].get<int>(), 300);
    EXPECT_EQ(post["text"].get<std::string>().find("<|im_end|>"), std::string::npos);
  }
  EXPECT_EQ(posts, 3);
}

/// Posts about something that is not among the voice's own prompts which talk of its trade.
int posts_of_the_clerk(const std::string& json_lines) {
  int found = 0;
  std::istringstream lines(json_lines);
  for (std::string line; std::getline(lines, line);) {
    const std::string text = nlohmann::json::parse(line)["text"];
    for (const char* word : {"lost", "Lost", "anded in", "ledger", "shelf", "counter", "claim"})
      if (text.find(word) != std::string::npos) {
        ++found;
        break;
      }
  }
  return found;
}

TEST_F(DemoModel, SpeaksInTheDemoVoiceThatWasTrainedForIt) {
  const auto adapter = std::filesystem::path(BOBBY_SOURCE_DIR) / "assets/demo-voice/adapter";
  const std::vector<std::string> words = {"post",   "10", "write about elevators",
                                          "--seed", "1",  "--json"};
  std::vector<std::string> with = words;
  with.insert(with.end(), {"--adapter", adapter.string()});
  const Outcome voice = run(with);
  ASSERT_EQ(voice.exit_code, 0) << voice.err;
  EXPECT_EQ(voice.err.find("form"), std::string::npos) << "trained in the form it is asked in";
  const Outcome base = run(words);
  EXPECT_GE(posts_of_the_clerk(voice.out), 5) << voice.out;
  EXPECT_LE(posts_of_the_clerk(base.out), 2) << base.out;
}

TEST_F(DemoModel, TokenizesThereAndBack) {
  const std::string texts = "write about coffee\nCaf\xc3\xa9 at 7:30, isn't it?\n";
  EXPECT_EQ(run({"tokenize", "--decode"}, run({"tokenize"}, texts).out).out, texts);
}

TEST_F(DemoModel, APromptLongerThanTheContextIsRefused) {
  std::string prompt;
  for (int i = 0; i < 20000; ++i) prompt += "word ";
  const Outcome outcome = run({"post", "--prompt", prompt});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.err.rfind("bobby: ", 0), 0u) << outcome.err;
}

}  // namespace
}  // namespace bobby::e2e
