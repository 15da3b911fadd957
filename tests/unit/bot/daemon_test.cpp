// The daemon on a clock of the test's own: what it does at which moment, and a month with a link
// that fails and a machine that is off now and then.

#include "bot/daemon.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <unistd.h>

#include "store/draft_store.h"

namespace bobby::bot {
namespace {

namespace fs = std::filesystem;
using store::OutboxPost;
using store::OutboxState;
using Event = BotEvent::Kind;

constexpr const char* kAccount = "did:plc:alice";
constexpr Moment kHour = 3'600'000;
constexpr Moment kDay = 24 * kHour;
constexpr Moment kMidnight = 1'767'225'600'000;  // 2026-01-01, UTC

/// Keeps the first record under a key, and answers as the test wants.
class Repository final : public PostTarget {
 public:
  CreateAnswer create(std::string_view key, std::string_view record) override {
    times.push_back(now);
    if (next_answer) return next_answer();
    records.try_emplace(std::string(key), record);
    return {.kind = CreateAnswer::Kind::kCreated, .uri = "at://" + std::string(key), .cid = "c"};
  }
  FindAnswer find(std::string_view key) override {
    if (unreachable) return {.kind = FindAnswer::Kind::kUnknown, .problem = "no answer"};
    const auto found = records.find(std::string(key));
    if (found == records.end()) return {.kind = FindAnswer::Kind::kNotThere};
    return {.kind = FindAnswer::Kind::kThere,
            .uri = "at://" + found->first,
            .cid = "c",
            .record = found->second};
  }
  bool same(std::string_view a, std::string_view b) const override { return a == b; }

  std::map<std::string, std::string> records;
  std::vector<Moment> times;  ///< of each request
  std::function<CreateAnswer()> next_answer = {};
  bool unreachable = false;
  Moment now = 0;
};

class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() {
    std::string name = (fs::temp_directory_path() / "bobby-daemon-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    drafts_ = store::DraftStore::open(folder_ / "store").value();
    outbox_ = store::Outbox::open(folder_ / "store").value();
    config_ = {.cron = "0 9,12,15 * * *", .zone = "UTC", .quiet = {"22:00-07:00"}};
  }
  ~DaemonTest() override {
    outbox_.reset();
    drafts_.reset();
    fs::remove_all(folder_);
  }

  OutboxPost approve() {
    const auto draft =
        drafts_->create({.text = fmt::format("post {}", ++made_), .graphemes = 6}).value();
    return outbox_->approve(draft.id, kAccount, fmt::format("key{}", made_), 1).value();
  }

  /// A daemon that has just been started: everything it knows is in the store.
  Moment step(Moment now) {
    repository_.now = now;
    Publisher publisher(*outbox_, repository_, kAccount, [](const OutboxPost& post, Moment) {
      return Result<std::string>(post.text);
    });
    const Schedule schedule = Schedule::make(config_).value();
    Daemon daemon({.outbox = *outbox_,
                   .publisher = publisher,
                   .schedule = schedule,
                   .account = kAccount,
                   .make_key = [this](Moment) { return fmt::format("made{}", ++keys_); },
                   .report = [this](const BotEvent& event) { events_.push_back(event); },
                   .supply = supply_});
    const auto again = daemon.step(now);
    EXPECT_TRUE(again) << again.error().to_string();
    EXPECT_GT(*again, now);
    return *again;
  }
  /// Steps from one moment to the other, whenever the daemon wants to.
  void run(Moment from, Moment until) {
    for (Moment now = from; now < until; now = step(now)) {
    }
  }
  std::size_t count(Event kind) const {
    return static_cast<std::size_t>(
        std::ranges::count(events_, kind, [](const BotEvent& event) { return event.kind; }));
  }
  static std::string hour_of(Moment moment) {
    const Moment minutes = moment % kDay / 60'000;
    return fmt::format("{:02}:{:02}", minutes / 60, minutes % 60);
  }
  std::vector<std::string> hours() const {
    std::vector<std::string> found;
    for (const Moment time : repository_.times) found.push_back(hour_of(time));
    return found;
  }

  fs::path folder_;
  std::unique_ptr<store::DraftStore> drafts_;
  std::unique_ptr<store::Outbox> outbox_;
  Repository repository_;
  ScheduleConfig config_;
  Daemon::Supply supply_;
  std::vector<BotEvent> events_;
  int made_ = 0;
  int keys_ = 0;
};

using Hours = std::vector<std::string>;

TEST_F(DaemonTest, PostsOneASlot) {
  for (int i = 0; i < 5; ++i) approve();
  run(kMidnight, kMidnight + kDay);
  EXPECT_EQ(hours(), (Hours{"09:00", "12:00", "15:00"}));
  EXPECT_EQ(count(Event::kPosted), 3u);
  EXPECT_EQ(outbox_->counts(kAccount).value(), (std::array<std::int64_t, 4>{2, 0, 3, 0}));
}

TEST_F(DaemonTest, AnEmptySlotIsSaidAndGone) {
  run(kMidnight, kMidnight + 10 * kHour);
  EXPECT_EQ(count(Event::kEmpty), 1u);
  approve();
  run(kMidnight + 10 * kHour, kMidnight + kDay);
  EXPECT_EQ(hours(), Hours{"12:00"});
}

TEST_F(DaemonTest, TheFirstStartHasMissedNothing) {
  approve();
  run(kMidnight + 16 * kHour, kMidnight + 21 * kHour);
  EXPECT_TRUE(repository_.times.empty());
}

TEST_F(DaemonTest, DraftsApprovedOnThePageGetAKey) {
  const auto draft = drafts_->create({.text = "from the page", .graphemes = 13}).value();
  ASSERT_TRUE(drafts_->update(draft.id, {.status = "approved"}));
  run(kMidnight, kMidnight + 10 * kHour);
  EXPECT_EQ(repository_.records, (std::map<std::string, std::string>{{"made1", "from the page"}}));
  EXPECT_EQ((*drafts_->get(draft.id))->status, "posted");
}

TEST_F(DaemonTest, AMachineThatWasOffMakesUpForOne) {
  for (int i = 0; i < 9; ++i) approve();
  run(kMidnight, kMidnight + kHour);
  run(kMidnight + kDay + 16 * kHour, kMidnight + kDay + 21 * kHour);
  EXPECT_EQ(hours(), Hours{"16:00"});
  EXPECT_EQ(count(Event::kDropped), 5u);
}

TEST_F(DaemonTest, AMachineThatWasOffMayMakeUpForNone) {
  config_.misfire = Misfire::kSkip;
  for (int i = 0; i < 9; ++i) approve();
  run(kMidnight, kMidnight + kHour);
  run(kMidnight + kDay + 16 * kHour, kMidnight + kDay + 21 * kHour);
  EXPECT_EQ(hours(), Hours{});
  EXPECT_EQ(count(Event::kDropped), 6u);
}

TEST_F(DaemonTest, ManySlotsWithoutADraftAreOneStep) {
  config_.misfire = Misfire::kAll;
  config_.hourly_cap = config_.daily_cap = 0;
  approve();
  run(kMidnight, kMidnight + kHour);
  step(kMidnight + 20 * kDay + 16 * kHour);
  EXPECT_EQ(count(Event::kPosted), 1u);
  ASSERT_EQ(count(Event::kEmpty), 1u);
  EXPECT_NE(events_.back().text.find("and 61 more"), std::string::npos) << events_.back().text;
  run(kMidnight + 20 * kDay + 16 * kHour + 60'000, kMidnight + 20 * kDay + 20 * kHour);
  EXPECT_EQ(count(Event::kEmpty), 1u) << "each slot is gone";
}

TEST_F(DaemonTest, NoConnectionIsTriedAgainAndNotTwoSlots) {
  approve();
  approve();
  int failures = 3;
  repository_.next_answer = [&]() -> CreateAnswer {
    if (--failures == 0) repository_.next_answer = {};
    return {.kind = CreateAnswer::Kind::kNotNow, .problem = "no connection"};
  };
  run(kMidnight, kMidnight + 11 * kHour);
  EXPECT_EQ(count(Event::kPostponed), 3u);
  EXPECT_EQ(count(Event::kPosted), 1u);
  EXPECT_EQ(outbox_->get(2)->value().state, OutboxState::kApproved) << "the slot was the first's";
}

TEST_F(DaemonTest, WhatFailedBeforeAQuietHourWaitsForItsEnd) {
  config_.cron = "55 21 * * *";
  approve();
  const Moment back = kMidnight + kDay + 2 * kHour;
  repository_.next_answer = [&]() -> CreateAnswer {
    if (repository_.now >= back) {
      repository_.records.try_emplace("key1", "post 1");
      return {.kind = CreateAnswer::Kind::kCreated, .uri = "at://key1", .cid = "c"};
    }
    return {.kind = CreateAnswer::Kind::kNotNow, .problem = "no connection"};
  };
  run(kMidnight, kMidnight + kDay + 12 * kHour);
  EXPECT_EQ(hour_of(repository_.times.back()), "07:00");
  for (const std::string& hour : hours()) EXPECT_FALSE(hour > "22:00" || hour < "07:00") << hour;
  EXPECT_EQ(count(Event::kPosted), 1u);
}

TEST_F(DaemonTest, NothingIsSentWhileOneIsInDoubt) {
  approve();
  approve();
  repository_.unreachable = true;
  repository_.next_answer = [] { return CreateAnswer{.problem = "no answer"}; };
  run(kMidnight, kMidnight + 14 * kHour);
  EXPECT_EQ(hours(), Hours{"09:00"});
  EXPECT_GT(count(Event::kUnknown), 3u);
  repository_.unreachable = false;
  repository_.next_answer = {};
  run(kMidnight + 14 * kHour, kMidnight + 15 * kHour);
  EXPECT_EQ(count(Event::kPosted), 2u) << "the first, and the slot of 12:00 made up for";
}

TEST_F(DaemonTest, AnAccountThatCannotPostIsLeftAlone) {
  for (int i = 0; i < 3; ++i) approve();
  repository_.next_answer = [] {
    return CreateAnswer{.kind = CreateAnswer::Kind::kNoAccount, .problem = "suspended"};
  };
  run(kMidnight, kMidnight + 10 * kHour);
  EXPECT_LE(repository_.times.size(), 13u) << "at most every five minutes";
  EXPECT_GE(repository_.times.size(), 4u);
  EXPECT_EQ(outbox_->pause(kAccount)->reason, "suspended");
  repository_.next_answer = {};
  run(kMidnight + 10 * kHour, kMidnight + 11 * kHour);
  EXPECT_EQ(count(Event::kPosted), 1u);
}

TEST_F(DaemonTest, AClockSetBackPostsNothingTwice) {
  for (int i = 0; i < 6; ++i) approve();
  run(kMidnight, kMidnight + 13 * kHour);
  ASSERT_EQ(repository_.times.size(), 2u);
  run(kMidnight + 8 * kHour, kMidnight + 13 * kHour);
  EXPECT_EQ(repository_.times.size(), 2u);
  ASSERT_GE(count(Event::kNote), 1u);
  // The same words every time, so that a daemon says them once.
  std::set<std::string> notes;
  for (const BotEvent& event : events_)
    if (event.kind == Event::kNote) notes.insert(event.text);
  EXPECT_EQ(notes.size(), 1u);
  run(kMidnight + 13 * kHour, kMidnight + 16 * kHour);
  EXPECT_EQ(repository_.times.size(), 3u);
}

TEST_F(DaemonTest, AClockThatWasFarAheadIsLeftBehind) {
  for (int i = 0; i < 12; ++i) approve();
  run(kMidnight, kMidnight + 13 * kHour);
  // For a day it is a year later.
  run(kMidnight + 365 * kDay, kMidnight + 366 * kDay);
  const std::size_t before = repository_.times.size();
  EXPECT_EQ(before, 6u) << "two, one made up for, and three";
  run(kMidnight + kDay, kMidnight + 2 * kDay);
  EXPECT_EQ(repository_.times.size(), before) << "silent";
  ASSERT_TRUE(outbox_->resume(kAccount, kMidnight + 2 * kDay));
  run(kMidnight + 2 * kDay, kMidnight + 3 * kDay);
  EXPECT_EQ(repository_.times.size(), before + 3) << "as on any day";
}

TEST_F(DaemonTest, ASupplyIsAskedOnlyWhereNothingIsApproved) {
  approve();
  int asked = 0;
  supply_ = [&](Moment) -> Result<Daemon::Supplied> {
    ++asked;
    approve();
    return Daemon::Supplied::kApproved;
  };
  run(kMidnight, kMidnight + 13 * kHour);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(count(Event::kPosted), 2u);
}

TEST_F(DaemonTest, ASlotWaitsForADraftThatIsBeingWritten) {
  const Moment written = kMidnight + 9 * kHour + 90'000;
  supply_ = [&](Moment now) -> Result<Daemon::Supplied> {
    if (now < written) return Daemon::Supplied::kLater;
    approve();
    return Daemon::Supplied::kApproved;
  };
  run(kMidnight, kMidnight + 10 * kHour);
  ASSERT_EQ(repository_.times.size(), 1u);
  EXPECT_EQ(repository_.times.front(), written) << "as soon as it is there";
  EXPECT_EQ(count(Event::kEmpty), 0u);
}

TEST_F(DaemonTest, WhileADraftIsBeingWrittenTheRestGoesOn) {
  // After an outage: five slots are dropped, and the sixth waits, since writing takes too long.
  supply_ = [](Moment) { return Result<Daemon::Supplied>(Daemon::Supplied::kLater); };
  approve();
  repository_.next_answer = [&]() -> CreateAnswer {
    repository_.next_answer = {};
    return {.kind = CreateAnswer::Kind::kNotNow, .problem = "no connection"};
  };
  run(kMidnight + 8 * kHour, kMidnight + 9 * kHour + 60'000);
  EXPECT_EQ(count(Event::kPosted), 1u) << "tried again, though the supply was never asked";
  run(kMidnight + kDay + 16 * kHour, kMidnight + kDay + 16 * kHour + 60'000);
  EXPECT_EQ(count(Event::kDropped), 0u) << "it is said when it is certain";
  supply_ = [](Moment) { return Result<Daemon::Supplied>(Daemon::Supplied::kNothing); };
  run(kMidnight + kDay + 16 * kHour + 60'000, kMidnight + kDay + 16 * kHour + 120'000);
  EXPECT_EQ(count(Event::kDropped), 4u);
  EXPECT_EQ(count(Event::kEmpty), 1u);
}

TEST_F(DaemonTest, ARefusedPostDoesNotStopTheNext) {
  approve();
  approve();
  repository_.next_answer = [&]() -> CreateAnswer {
    repository_.next_answer = {};
    return {.kind = CreateAnswer::Kind::kRefused, .problem = "400"};
  };
  run(kMidnight, kMidnight + 13 * kHour);
  EXPECT_EQ(count(Event::kRefused), 1u);
  EXPECT_EQ(count(Event::kPosted), 1u);
}

TEST_F(DaemonTest, AMonthWithOutagesKeepsTheCaps) {
  config_ = {.per_day = 6,
             .windows = {"08:00-21:00"},
             .zone = "Europe/Berlin",
             .quiet = {"22:00-07:00"},
             .jitter = std::chrono::minutes(10),
             .seed = 5,
             .misfire = Misfire::kAll,
             .hourly_cap = 2,
             .daily_cap = 7};
  std::mt19937_64 random(7);
  for (int i = 0; i < 250; ++i) approve();
  Moment link_until = 0;
  repository_.next_answer = [&]() -> CreateAnswer {
    if (repository_.now < link_until)
      return {.kind = CreateAnswer::Kind::kNotNow, .problem = "no connection"};
    const auto post = outbox_->sending(kAccount).value().value();
    repository_.records.try_emplace(post.record_key, post.text);
    if (random() % 4 == 0) return {.problem = "no answer"};
    return {.kind = CreateAnswer::Kind::kCreated, .uri = "at://x", .cid = "c"};
  };
  const Moment begin = kMidnight + 85 * kDay;  // summer time begins on 2026-03-29
  for (Moment now = begin; now < begin + 30 * kDay; now = step(now)) {
    if (random() % 40 == 0) link_until = now + static_cast<Moment>(random() % (9 * kHour));
    if (random() % 60 == 0) now += static_cast<Moment>(random() % (30 * kHour));  // switched off
  }
  const Zone zone = Zone::find("Europe/Berlin").value();
  std::map<std::int64_t, int> days;
  const std::vector<Moment> posted = outbox_->posted_times(kAccount, 0).value();
  for (std::size_t i = 0; i < posted.size(); ++i) {
    const auto local = zone.to_local(TimePoint(std::chrono::seconds(posted[i] / 1000)));
    const auto day = std::chrono::floor<std::chrono::days>(local);
    const auto hour = std::chrono::duration_cast<std::chrono::hours>(local - day).count();
    EXPECT_TRUE(hour >= 7 && hour < 22) << hour;
    EXPECT_LE(++days[day.time_since_epoch().count()], 7);
    if (i >= 2) {
      EXPECT_GE(posted[i] - posted[i - 2], kHour - 1000) << "more than two in an hour";
    }
  }
  EXPECT_GT(posted.size(), 120u);
  EXPECT_EQ(repository_.records.size(), posted.size());
}

}  // namespace
}  // namespace bobby::bot
