#include "voice/voice_file.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>

namespace bobby {
namespace {

namespace fs = std::filesystem;

TEST(VoiceFile, RoundTrips) {
  VoiceFile voice;
  voice.prompt_form = *find_prompt_form("qwen3-no-think");
  voice.prefix_sha256 = "abc";
  voice.base_digest = "def";
  voice.remove_emojis = false;
  voice.char_limit = 280;
  const auto again = parse_voice_file(voice_file_json(voice), "voice.json");
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*again, voice);

  // A form of one's own is written out piece by piece.
  voice.prompt_form->name = "mine";
  voice.prompt_form->system = "Be brief.\n";
  voice.prompt_form->system_preface = "Today is the first.\n";
  voice.prompt_form->stops = {"<end>"};
  const auto own = parse_voice_file(voice_file_json(voice), "voice.json");
  ASSERT_TRUE(own) << own.error().to_string();
  EXPECT_EQ(*own, voice);

  EXPECT_EQ(*parse_voice_file(voice_file_json({}), "voice.json"), VoiceFile());
}

TEST(VoiceFile, SetsRules) {
  const auto voice =
      parse_voice_file(R"({"post": {"remove_hashtags": false, "char_limit": 120}})", "voice.json");
  ASSERT_TRUE(voice);
  const PostRules rules = apply_voice(*voice, {});
  EXPECT_FALSE(rules.remove_hashtags);
  EXPECT_EQ(rules.char_limit, 120);
  EXPECT_TRUE(rules.remove_emojis) << "not set in the file";
}

TEST(VoiceFile, NamesEveryProblem) {
  const auto voice = parse_voice_file(
      R"({"promptform": "chatml", "prefix_sha256": 5,
          "post": {"charlimit": 1, "min_chars": -1, "remove_emojis": "yes"}})",
      "me/voice.json");
  ASSERT_FALSE(voice);
  const std::string text = voice.error().to_string();
  for (const char* part : {"me/voice.json: key 'promptform'", "the nearest is 'prompt_form'",
                           "'prefix_sha256'", "'post.charlimit'", "the nearest is 'char_limit'",
                           "'post.min_chars'", "'post.remove_emojis'"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in:\n" << text;
}

TEST(VoiceFile, RefusesWhatIsNoVoiceFile) {
  for (const char* json :
       {"", "[]", "3", "{", "{\"post\": 3}", "{\"prompt_form\": 3}",
        "{\"prompt_form\": \"chatlm\"}", "{\"prompt_form\": {\"stops\": [1]}}",
        "{\"prompt_form\": {\"user_start\": \"\"}}", "{\"post\": {\"char_limit\": 1e30}}",
        "{\"post\": {\"char_limit\": 2.5}}"})
    EXPECT_FALSE(parse_voice_file(json, "voice.json")) << json;
}

TEST(VoiceFile, IsOptionalInAFolder) {
  const fs::path folder = fs::path(testing::TempDir()) / "voice_file_test";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const auto none = load_voice_file(folder);
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  std::ofstream(folder / "voice.json") << R"({"base_digest": "d"})";
  const auto some = load_voice_file(folder);
  ASSERT_TRUE(some);
  EXPECT_EQ((*some)->base_digest, "d");
  fs::remove(folder / "voice.json");
  fs::create_directories(folder / "voice.json");
  EXPECT_FALSE(load_voice_file(folder)) << "a directory";
  fs::remove_all(folder);
}

}  // namespace
}  // namespace bobby
