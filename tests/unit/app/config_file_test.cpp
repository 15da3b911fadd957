#include "app/config_file.h"

#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace bobby {
namespace {

TEST(ConfigFile, SpellsValuesAsTheCommandLineWould) {
  const TemporaryFolder folder;
  const auto file = folder.write("bobby.toml",
                                 "# mine\ntemperature = 0.85\ncount = 3\ngreedy = true\n\n"
                                 "adapter = [\"a\", \"b:20\"]\nmodel = \"x/y\"\n");
  const auto entries = read_config_file(file);
  ASSERT_TRUE(entries) << entries.error().to_string();
  ASSERT_EQ(entries->size(), 5u);
  EXPECT_EQ((*entries)[0].key, "temperature");
  EXPECT_EQ((*entries)[0].values, std::vector<std::string>{"0.85"});
  EXPECT_EQ((*entries)[0].line, 2);
  EXPECT_EQ((*entries)[1].values, std::vector<std::string>{"3"});
  EXPECT_EQ((*entries)[2].values, std::vector<std::string>{"true"});
  EXPECT_EQ((*entries)[3].values, (std::vector<std::string>{"a", "b:20"}));
  EXPECT_EQ((*entries)[3].line, 6);
}

TEST(ConfigFile, NamesTheLineOfWhatIsNotToml) {
  const TemporaryFolder folder;
  const auto entries = read_config_file(folder.write("bobby.toml", "count = 3\ntop_p = = 1\n"));
  ASSERT_FALSE(entries);
  EXPECT_EQ(entries.error().code, ErrorCode::kUsage);
  EXPECT_NE(entries.error().where.find("bobby.toml:2"), std::string::npos);
}

TEST(ConfigFile, NamesTheTableOfAKey) {
  const TemporaryFolder folder;
  const auto entries = read_config_file(folder.write(
      "bobby.toml", "count = 3\n\n[bot]\nzone = \"Europe/Zurich\"\nquiet = [\"23:00-07:00\"]\n"));
  ASSERT_TRUE(entries) << entries.error().to_string();
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ((*entries)[1].key, "bot.zone");
  EXPECT_EQ((*entries)[1].line, 4);
  EXPECT_EQ((*entries)[2].values, std::vector<std::string>{"23:00-07:00"});
}

TEST(ConfigFile, RefusesTablesWithinTables) {
  const TemporaryFolder folder;
  const auto entries =
      read_config_file(folder.write("bobby.toml", "[bot.schedule]\ncron = \"@daily\"\n"));
  ASSERT_FALSE(entries);
  EXPECT_NE(entries.error().where.find("'bot.schedule'"), std::string::npos);
}

TEST(ConfigFile, SaysThatAFileIsMissing) {
  const auto entries = read_config_file("/nonexistent/bobby.toml");
  ASSERT_FALSE(entries);
  EXPECT_EQ(entries.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace bobby
