#include <gtest/gtest.h>

#include "app/bot/setup.h"
#include "bot/schedule/schedule.h"
#include "temporary_folder.h"

namespace bobby {
namespace {

class BotSetupTest : public testing::Test {
 protected:
  Settings settings(std::map<Opt, std::vector<std::string>> flags = {}) const {
    flags[Opt::kDrafts] = {(folder_.path() / "bobby.sqlite").string()};
    return Settings::resolve({std::move(flags), Environment(), folder_.path()}).value();
  }

  TemporaryFolder folder_;
};

TEST_F(BotSetupTest, TheScheduleIsWhatIsSet) {
  const auto config = schedule_config(settings({{Opt::kPerDay, {"4"}},
                                                {Opt::kWindows, {"08:00-11:30", "17:00-22:00"}},
                                                {Opt::kZone, {"UTC"}},
                                                {Opt::kMisfire, {"all"}},
                                                {Opt::kDailyCap, {"0"}}}));
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->per_day, 4);
  EXPECT_EQ(config->windows.size(), 2u);
  EXPECT_EQ(config->misfire, bot::Misfire::kAll);
  EXPECT_EQ(config->misfire_grace, std::chrono::seconds(600));
  EXPECT_EQ(config->hourly_cap, 4);
  EXPECT_EQ(config->daily_cap, 0);
  EXPECT_TRUE(bot::Schedule::make(*config));
  EXPECT_FALSE(bot::Schedule::make(schedule_config(settings()).value())) << "no time is given";
}

TEST_F(BotSetupTest, DenyRulesComeFromBothPlaces) {
  folder_.write("deny.txt", "# mine\ncrap\n");
  const auto filter =
      make_filter(settings({{Opt::kDeny, {"re:free\\s+money"}},
                            {Opt::kDenyFile, {(folder_.path() / "deny.txt").string()}}}));
  ASSERT_TRUE(filter) << filter.error().to_string();
  const auto filtered = filter->apply("cr@p, and free money");
  ASSERT_TRUE(filtered);
  ASSERT_EQ(filtered->refusals.size(), 2u);
  EXPECT_NE(filtered->refusals[0].rule.find("--deny"), std::string::npos);
  EXPECT_NE(filtered->refusals[1].rule.find("deny.txt:2"), std::string::npos);
  EXPECT_EQ(make_filter(settings({{Opt::kDenyFile, {"/nonexistent"}}})).error().code,
            ErrorCode::kNotFound);
}

TEST_F(BotSetupTest, PastTextsAreOfArchivesPostsAndDrafts) {
  folder_.write("train.jsonl", "{\"text\": \"the archive knows this sentence already\"}\n");
  const Settings all = settings({{Opt::kArchive, {(folder_.path() / "train.jsonl").string()}}});
  auto store = open_bot_store(all);
  ASSERT_TRUE(store) << store.error().to_string();
  const auto draft = store->drafts->create({.text = "a draft of mine that waits", .graphemes = 1});
  ASSERT_TRUE(draft);
  const auto past = past_texts(all, *store);
  ASSERT_TRUE(past) << past.error().to_string();
  EXPECT_EQ(past->check("The archive knows this sentence already!").nearest.id, "train.jsonl:1");
  EXPECT_EQ(past->check("a draft of mine that waits").nearest, draft_source(draft->id));
  const bot::Source self = draft_source(draft->id);
  EXPECT_EQ(past->check("a draft of mine that waits", &self).kind, bot::NoveltyKind::kNew);
}

TEST_F(BotSetupTest, AnArchiveThatIsNoneNamesItsLine) {
  const auto file = folder_.write("train.jsonl", "{\"text\": \"fine\"}\nnot json\n");
  const Settings all = settings({{Opt::kArchive, {file.string()}}});
  auto store = open_bot_store(all);
  const auto past = past_texts(all, *store);
  ASSERT_FALSE(past);
  EXPECT_NE(past.error().to_string().find("train.jsonl:2"), std::string::npos);
}

}  // namespace
}  // namespace bobby
