#include "app/voice_setup.h"

#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace bobby {
namespace {

constexpr const char* kChatml =
    R"({"chat_template": "{% for m in messages %}<|im_start|>{{m.role}}\n{{m.content}}<|im_end|>\n)"
    R"({% endfor %}"})";

class VoiceSetupTest : public testing::Test {
 protected:
  VoiceSetupTest() { folder_.write("model/tokenizer_config.json", kChatml); }

  Settings settings(std::map<Opt, std::vector<std::string>> flags = {}) const {
    return Settings::resolve({std::move(flags), Environment(), folder_.path()}).value();
  }
  // An adapter folder with this voice.json.
  std::vector<ChosenAdapter> adapter(const std::string& voice) const {
    folder_.write("adapter/voice.json", voice);
    ChosenAdapter chosen;
    chosen.name.folder = folder_.path() / "adapter";
    return {chosen};
  }
  VoiceSetup set_up(const Settings& from, const std::vector<ChosenAdapter>& adapters = {}) const {
    auto setup = set_up_voice(from, folder_.path() / "model", "llama", adapters);
    EXPECT_TRUE(setup) << setup.error().to_string();
    return *std::move(setup);
  }

  TemporaryFolder folder_;
};

TEST_F(VoiceSetupTest, TheModelsTemplateIsTheFallback) {
  const VoiceSetup setup = set_up(settings());
  EXPECT_EQ(setup.form.name, "chatml");
  EXPECT_EQ(setup.rules, PostRules());
  EXPECT_TRUE(setup.warnings.empty());
}

TEST_F(VoiceSetupTest, TheVoiceFileWinsOverTheModelAndSettingsOverBoth) {
  const auto adapters = adapter(R"({"prompt_form": "qwen3-no-think",
                                    "post": {"char_limit": 200, "remove_emojis": false}})");
  const VoiceSetup voice = set_up(settings(), adapters);
  EXPECT_EQ(voice.form.name, "qwen3-no-think");
  EXPECT_EQ(voice.rules.char_limit, 200);
  EXPECT_FALSE(voice.rules.remove_emojis);
  EXPECT_EQ(voice.rules.min_chars, PostRules().min_chars);

  const VoiceSetup set = set_up(
      settings(
          {{Opt::kCharLimit, {"100"}}, {Opt::kKeepEmojis, {"false"}}, {Opt::kPromptForm, {"raw"}}}),
      adapters);
  EXPECT_EQ(set.form.name, "raw");
  EXPECT_EQ(set.rules.char_limit, 100);
  EXPECT_TRUE(set.rules.remove_emojis);
}

TEST_F(VoiceSetupTest, AnotherFormThanThatOfTrainingIsWarnedOf) {
  const std::string trained = prompt_prefix_sha256(find_prompt_form("qwen3-no-think").value());
  const auto adapters = adapter(R"({"prefix_sha256": ")" + trained + "\"}");
  EXPECT_EQ(set_up(settings(), adapters).warnings.size(), 1u);
  EXPECT_TRUE(
      set_up(settings({{Opt::kPromptForm, {"qwen3-no-think"}}}), adapters).warnings.empty());
}

TEST_F(VoiceSetupTest, ABrokenTokenizerConfigIsNamed) {
  folder_.write("model/tokenizer_config.json", "{\"chat_template\": 7}");
  const auto setup = set_up_voice(settings(), folder_.path() / "model", "llama", {});
  ASSERT_FALSE(setup);
  EXPECT_NE(setup.error().where.find("chat_template"), std::string::npos);
}

}  // namespace
}  // namespace bobby
