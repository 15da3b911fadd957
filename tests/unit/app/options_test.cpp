#include "app/options.h"

#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

#include "voice/prompt_form.h"

namespace bobby {
namespace {

TEST(Options, EachSettingHasANameOfItsOwnEverywhere) {
  std::set<std::string> keys, variables;
  for (const OptionSpec& spec : all_options()) {
    if (spec.scope != OptionScope::kSetting) continue;
    EXPECT_TRUE(keys.insert(spec.config_key()).second) << spec.name;
    EXPECT_TRUE(variables.insert(spec.environment_name()).second) << spec.name;
  }
  EXPECT_TRUE(keys.contains("max_tokens"));
  EXPECT_TRUE(variables.contains("BOBBY_MAX_TOKENS"));
  EXPECT_TRUE(variables.contains("BOBBY_CPU_ISA"));
}

TEST(Options, DefaultsAreValuesThatTheOptionTakes) {
  for (const OptionSpec& spec : all_options()) {
    if (spec.default_text.empty()) continue;
    EXPECT_TRUE(check_value(spec, spec.default_text)) << spec.name;
  }
}

TEST(Options, EachIsExplained) {
  for (const OptionSpec& spec : all_options()) {
    EXPECT_FALSE(spec.help.empty()) << spec.name;
    EXPECT_FALSE(spec.help.ends_with('.')) << spec.name;
    EXPECT_EQ(spec.value.empty(), spec.kind == OptionKind::kFlag) << spec.name;
  }
}

TEST(Options, PromptFormsAreThoseOfTheVoiceRoom) {
  std::vector<std::string_view> forms;
  for (const PromptForm& form : prompt_forms()) forms.push_back(form.name);
  EXPECT_TRUE(std::ranges::equal(forms, option(Opt::kPromptForm).choices));
}

TEST(Options, RefusesWhatIsNoValue) {
  const auto refused = [](Opt id, std::string_view text) { return !check_value(option(id), text); };
  EXPECT_TRUE(refused(Opt::kCount, "0"));
  EXPECT_TRUE(refused(Opt::kCount, "2x"));
  EXPECT_TRUE(refused(Opt::kCount, " 2"));
  EXPECT_TRUE(refused(Opt::kCount, "99999999999999999999"));
  EXPECT_TRUE(refused(Opt::kTemperature, "-0.1"));
  EXPECT_TRUE(refused(Opt::kTemperature, "nan"));
  EXPECT_TRUE(refused(Opt::kTemperature, "inf"));
  EXPECT_TRUE(refused(Opt::kIsa, "sse9"));
  EXPECT_TRUE(refused(Opt::kKv, "bf16"));
  EXPECT_TRUE(refused(Opt::kGreedy, "yes"));
  EXPECT_TRUE(refused(Opt::kBatch, "1,,2"));
  EXPECT_TRUE(refused(Opt::kBatch, "1,0"));
  EXPECT_TRUE(refused(Opt::kModel, ""));
  EXPECT_FALSE(refused(Opt::kBatch, "1,10"));
  EXPECT_FALSE(refused(Opt::kTemperature, "0"));
  EXPECT_FALSE(refused(Opt::kSeed, "9007199254740991"));
}

}  // namespace
}  // namespace bobby
