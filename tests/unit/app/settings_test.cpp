#include "app/settings.h"

#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace bobby {
namespace {

// A user with a config folder, a working folder, and the five sources of a setting.
class SettingsTest : public testing::Test {
 protected:
  SettingsSources sources(std::map<std::string, std::string, std::less<>> variables = {},
                          std::map<Opt, std::vector<std::string>> flags = {}) const {
    variables.emplace("XDG_CONFIG_HOME", (folder_.path() / "config").string());
    return {std::move(flags), Environment(std::move(variables)), folder_.path() / "work"};
  }

  void user_file(std::string_view text) const { folder_.write("config/bobby/config.toml", text); }
  void local_file(std::string_view text) const { folder_.write("work/bobby.toml", text); }

  TemporaryFolder folder_;
};

TEST_F(SettingsTest, TheStrongestSourceWins) {
  const auto count = [](const Result<Settings>& settings) {
    return settings->text(Opt::kCount) + " " + settings->setting(Opt::kCount).origin;
  };
  EXPECT_EQ(count(Settings::resolve(sources())), "1 default");
  user_file("count = 2\n");
  const std::string user = (folder_.path() / "config/bobby/config.toml").string();
  EXPECT_EQ(count(Settings::resolve(sources())), "2 " + user + ":1");
  local_file("\ncount = 3\n");
  EXPECT_EQ(count(Settings::resolve(sources())), "3 bobby.toml:2");
  EXPECT_EQ(count(Settings::resolve(sources({{"BOBBY_COUNT", "4"}}))), "4 BOBBY_COUNT");
  EXPECT_EQ(count(Settings::resolve(sources({{"BOBBY_COUNT", "4"}}, {{Opt::kCount, {"5"}}}))),
            "5 --count");
}

TEST_F(SettingsTest, TheNamedFileStandsInPlaceOfTheOthers) {
  user_file("count = 2\n");
  local_file("top_k = 7\n");
  const auto file = folder_.write("mine.toml", "seed = 9\n");
  const auto settings = Settings::resolve(sources({}, {{Opt::kConfig, {file.string()}}}));
  ASSERT_TRUE(settings) << settings.error().to_string();
  EXPECT_EQ(settings->integer(Opt::kCount), 1);
  EXPECT_EQ(settings->integer(Opt::kTopK), 0);
  EXPECT_EQ(settings->integer(Opt::kSeed), 9);
}

TEST_F(SettingsTest, ReportsEveryUnknownNameWithTheNearest) {
  local_file("temprature = 1\ncolour = \"red\"\n");
  const auto settings = Settings::resolve(sources({{"BOBBY_TOPP", "1"}}));
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().code, ErrorCode::kUsage);
  const std::string text = settings.error().to_string();
  EXPECT_NE(text.find("bobby.toml:1: key 'temprature'"), std::string::npos) << text;
  EXPECT_NE(text.find("did you mean temperature?"), std::string::npos) << text;
  EXPECT_NE(text.find("bobby.toml:2: key 'colour'"), std::string::npos) << text;
  EXPECT_NE(text.find("did you mean BOBBY_TOP_P?"), std::string::npos) << text;
}

TEST_F(SettingsTest, ABadValueNamesItsPlace) {
  local_file("top_p = 1.5\n");
  const auto settings = Settings::resolve(sources());
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().to_string(),
            "bobby.toml:1: key 'top_p': is not a value that can be used: expected a number from 0 "
            "to 1, found \"1.5\"");
}

TEST_F(SettingsTest, ListsComeFromEverySource) {
  const auto from_variable = Settings::resolve(sources({{"BOBBY_ADAPTER", "a,b:2"}}));
  ASSERT_TRUE(from_variable);
  EXPECT_EQ(from_variable->texts(Opt::kAdapter), (std::vector<std::string>{"a", "b:2"}));
  local_file("adapter = [\"c\", \"d,e\"]\n");
  const auto from_file = Settings::resolve(sources());
  ASSERT_TRUE(from_file);
  EXPECT_EQ(from_file->texts(Opt::kAdapter), (std::vector<std::string>{"c", "d,e"}));
  local_file("count = [1, 2]\n");
  EXPECT_FALSE(Settings::resolve(sources()));
}

TEST_F(SettingsTest, TheBotHasATableOfItsOwn) {
  local_file(
      "seed = 7\n\n[bot]\nper_day = 4\nwindows = [\"08:00-11:30\"]\nquiet = [\"23:00-07:00\"]\n"
      "seed = 9\n");
  const auto settings = Settings::resolve(
      sources({{"BOBBY_BOT_ZONE", "Europe/Zurich"}, {"BOBBY_BOT_WEEKDAYS", "mon,tue"}}));
  ASSERT_TRUE(settings) << settings.error().to_string();
  EXPECT_EQ(settings->integer(Opt::kSeed), 7);
  EXPECT_EQ(settings->integer(Opt::kScheduleSeed), 9);
  EXPECT_EQ(settings->integer(Opt::kPerDay), 4);
  EXPECT_EQ(settings->setting(Opt::kPerDay).origin, "bobby.toml:4");
  EXPECT_EQ(settings->texts(Opt::kQuietHours), std::vector<std::string>{"23:00-07:00"});
  EXPECT_EQ(settings->text(Opt::kZone), "Europe/Zurich");
  EXPECT_EQ(settings->texts(Opt::kWeekdays), (std::vector<std::string>{"mon", "tue"}));
}

TEST_F(SettingsTest, AKeyInTheWrongTableIsNamed) {
  local_file("per_day = 4\n[bot]\ntop_p = 0.5\n");
  const auto settings = Settings::resolve(sources());
  ASSERT_FALSE(settings);
  const std::string text = settings.error().to_string();
  EXPECT_NE(text.find("bobby.toml:1: key 'per_day'"), std::string::npos) << text;
  EXPECT_NE(text.find("bobby.toml:3: key 'bot.top_p'"), std::string::npos) << text;
}

TEST_F(SettingsTest, ThePasswordIsNoSetting) {
  const auto settings = Settings::resolve(sources({{"BOBBY_BLUESKY_PASSWORD", "abcd-efgh"}}));
  ASSERT_TRUE(settings) << settings.error().to_string();
  for (const OptionSpec& spec : all_options())
    for (const std::string& value : settings->texts(spec.id)) EXPECT_NE(value, "abcd-efgh");
}

TEST_F(SettingsTest, AnEmptyVariableIsNotSet) {
  const auto settings = Settings::resolve(sources({{"BOBBY_COUNT", ""}, {"BOBBY_NONSENSE", ""}}));
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->setting(Opt::kCount).origin, "default");
}

TEST_F(SettingsTest, IntegerListsAreSplit) {
  const auto settings = Settings::resolve(sources({}, {{Opt::kBatch, {"1,4,16"}}}));
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->integers(Opt::kBatch), (std::vector<std::int64_t>{1, 4, 16}));
}

}  // namespace
}  // namespace bobby
