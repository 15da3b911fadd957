#include "bot/schedule/schedule.h"

#include <algorithm>
#include <map>

#include "unit/bot/schedule_fixture.h"

namespace bobby::bot {
namespace {

using namespace std::chrono_literals;
using Times = std::vector<std::string>;

TEST(Schedule, CronInItsZone) {
  const Schedule schedule = made({.cron = "30 9 * * *", .zone = "America/New_York"});
  const auto slots = schedule.slots(utc(2025, 3, 8), utc(2025, 3, 11));
  ASSERT_EQ(slots.size(), 3u);
  EXPECT_EQ(slots[0].due, utc(2025, 3, 8, 14h + 30min));
  EXPECT_EQ(slots[1].due, utc(2025, 3, 9, 13h + 30min));  // summer time has begun
  EXPECT_EQ(slots[2].local, "2025-03-10 09:30");
}

TEST(Schedule, TimesThatClocksSkipMoveToTheFirstThatThereIs) {
  // 30 March 2025: 02:00 becomes 03:00.
  const Schedule schedule = made({.cron = "*/20 1-3 * * *", .zone = "Europe/Berlin"});
  EXPECT_EQ(local_times(schedule, utc(2025, 3, 30), utc(2025, 3, 30, 22h)),
            (Times{"2025-03-30 01:00", "2025-03-30 01:20", "2025-03-30 01:40", "2025-03-30 03:00",
                   "2025-03-30 03:20", "2025-03-30 03:40"}));
  const Schedule single = made({.cron = "30 2 * * *", .zone = "Europe/Berlin"});
  const auto slots = single.slots(utc(2025, 3, 30), utc(2025, 3, 31));
  ASSERT_EQ(slots.size(), 1u);
  EXPECT_EQ(slots[0].due, utc(2025, 3, 30, 1h));
}

TEST(Schedule, TimesThatClocksShowTwiceFireOnce) {
  // 26 October 2025: 03:00 becomes 02:00.
  const Schedule schedule = made({.cron = "30 2 * * *", .zone = "Europe/Berlin"});
  const auto slots = schedule.slots(utc(2025, 10, 25, 22h), utc(2025, 10, 26, 23h));
  ASSERT_EQ(slots.size(), 1u);
  EXPECT_EQ(slots[0].due, utc(2025, 10, 26, 0h + 30min));
}

TEST(Schedule, ADayThatBeginsAtOne) {
  // 7 September 2025 in Santiago: 00:00 becomes 01:00.
  const Schedule schedule = made({.cron = "@daily", .zone = "America/Santiago"});
  EXPECT_EQ(local_times(schedule, utc(2025, 9, 6), utc(2025, 9, 9)),
            (Times{"2025-09-06 00:00", "2025-09-07 01:00", "2025-09-08 00:00"}));
}

TEST(Schedule, SomeADayLieInTheirWindowsAndApart) {
  const ScheduleConfig config{
      .per_day = 4, .windows = {"17:00-22:00", "08:00-11:30"}, .zone = "Europe/Berlin", .seed = 7};
  const Schedule schedule = made(config);
  std::map<std::string, int> days;
  std::optional<TimePoint> before;
  for (const Slot& slot : schedule.slots(utc(2024, 12, 31, 23h), utc(2025, 12, 31, 23h))) {
    const std::string clock = slot.local.substr(11);
    EXPECT_TRUE((clock >= "08:00" && clock < "11:30") || (clock >= "17:00" && clock < "22:00"))
        << slot.local;
    ++days[slot.local.substr(0, 10)];
    // 8.5 hours in four parts, of which a fifth at least is between two.
    if (before) {
      EXPECT_GE(slot.due - *before, 25min) << slot.local;
    }
    before = slot.due;
  }
  EXPECT_EQ(days.size(), 365u);
  for (const auto& [day, count] : days) EXPECT_EQ(count, 4) << day;
}

TEST(Schedule, WindowsPastMidnightBelongToTheDayTheyBeginOn) {
  const Schedule schedule =
      made({.per_day = 3, .windows = {"22:00-02:00"}, .zone = "UTC", .weekdays = {"Friday"}});
  const auto slots = schedule.slots(utc(2025, 1, 1), utc(2025, 1, 8));
  ASSERT_EQ(slots.size(), 3u);  // 3 January 2025 is a Friday
  EXPECT_GE(slots.front().due, utc(2025, 1, 3, 22h));
  EXPECT_LT(slots.back().due, utc(2025, 1, 4, 2h));
  EXPECT_GE(slots.back().due, utc(2025, 1, 4));
}

TEST(Schedule, AWindowThatClocksSkipInPartHasItsPosts) {
  const Schedule schedule =
      made({.per_day = 2, .windows = {"01:30-03:30"}, .zone = "Europe/Berlin"});
  EXPECT_EQ(schedule.slots(utc(2025, 3, 29, 23h), utc(2025, 3, 30, 22h)).size(), 2u);
  // One that falls into the gap as a whole has none that day.
  const Schedule inside = made({.per_day = 2, .windows = {"02:10-02:50"}, .zone = "Europe/Berlin"});
  EXPECT_EQ(inside.slots(utc(2025, 3, 29, 23h), utc(2025, 3, 30, 22h)).size(), 0u);
  EXPECT_EQ(inside.slots(utc(2025, 3, 30, 22h), utc(2025, 3, 31, 22h)).size(), 2u);
}

TEST(Schedule, QuietHoursHaveNoSlotsAndJitterKeepsOutOfThem) {
  const ScheduleConfig config{.cron = "*/10 * * * *",
                              .zone = "Australia/Lord_Howe",
                              .quiet = {"23:00-07:00", "12:00-12:30"},
                              .jitter = 2h,
                              .seed = 3};
  const Schedule schedule = made(config);
  for (const Slot& slot : schedule.slots(utc(2025, 4, 1), utc(2025, 4, 20))) {
    const std::string clock = to_text(schedule.zone().to_local(slot.due)).substr(11, 5);
    EXPECT_TRUE(clock >= "07:00" && clock < "23:00") << slot.local << " due " << clock;
    EXPECT_FALSE(clock >= "12:00" && clock < "12:30") << slot.local << " due " << clock;
    EXPECT_GE(slot.due, slot.planned);
    EXPECT_LE(slot.due, slot.planned + 2h);
  }
}

TEST(Schedule, JitterLeavesNoWindow) {
  const Schedule schedule =
      made({.per_day = 10, .windows = {"10:00-11:00"}, .zone = "UTC", .jitter = 12h});
  for (const Slot& slot : schedule.slots(utc(2025, 1, 1), utc(2025, 2, 1)))
    EXPECT_LT(slot.due - std::chrono::floor<std::chrono::days>(slot.due), 11h);
}

TEST(Schedule, IsAFunctionOfConfigSeedAndDate) {
  ScheduleConfig config{.per_day = 5, .zone = "Europe/Berlin", .jitter = 1h, .seed = 11};
  const Schedule schedule = made(config);
  const TimePoint from = utc(2025, 3, 1);
  const TimePoint until = utc(2025, 5, 1);
  const auto whole = schedule.slots(from, until);
  EXPECT_EQ(made(config).slots(from, until), whole);
  std::vector<Slot> pieces;
  for (TimePoint begin = from; begin < until; begin += 7777s)
    for (const Slot& slot : schedule.slots(begin, std::min(begin + 7777s, until)))
      pieces.push_back(slot);
  EXPECT_EQ(pieces, whole);
  config.seed = 12;
  EXPECT_NE(made(config).slots(from, until), whole);
  std::vector<Slot> followed;
  for (auto slot = schedule.next(from - 1s); slot && slot->due < until;
       slot = schedule.next(slot->due))
    followed.push_back(*slot);
  EXPECT_EQ(followed, whole);
}

TEST(Schedule, NextLooksYearsAhead) {
  const Schedule schedule = made({.cron = "0 12 29 2 *", .zone = "UTC"});
  EXPECT_EQ(schedule.next(utc(2025, 1, 1))->due, utc(2028, 2, 29, 12h));
}

TEST(Schedule, RefusalsNameTheKey) {
  const auto expect = [](const ScheduleConfig& config, std::string_view part) {
    EXPECT_NE(refusal(config).find(part), std::string::npos) << refusal(config);
  };
  const ScheduleConfig cron{.cron = "0 9 * * *", .zone = "UTC"};
  ScheduleConfig config = cron;
  EXPECT_EQ(refusal(config), "");
  expect({.zone = "UTC"}, "neither is per_day");
  expect({.cron = "0 9 * * *", .per_day = 1, .zone = "UTC"}, "both set");
  expect({.per_day = -1, .zone = "UTC"}, "per_day");
  expect({.per_day = 1000, .zone = "UTC"}, "1 to 288");
  expect({.cron = "0 9 * * *", .zone = "Mars/Olympus"}, "no such time zone");
  expect({.cron = "0 9 * * *", .zone = ""}, "no such time zone");
  expect({.cron = "0 0 30 2 *", .zone = "UTC"}, "leaves no time");
  expect({.cron = "0 9 * * *", .windows = {"08:00-10:00"}, .zone = "UTC"}, "windows");
  for (const std::string window :
       {"8:00-9:00", "08:00", "08:00-08:00", "08:00-24:30", "24:00-01:00", "08:60-09:00", ""})
    expect({.per_day = 1, .windows = {window}, .zone = "UTC"}, "windows: is no part of a day");
  config.weekdays = {"someday"};
  expect(config, "weekdays");
  config = cron;
  config.quiet = {"00:00-24:00"};
  expect(config, "leaves no time");
  config = cron;
  config.jitter = 13h;
  expect(config, "jitter");
  config = cron;
  config.misfire_grace = -1s;
  expect(config, "misfire_grace");
  config = cron;
  config.daily_cap = -1;
  expect(config, "daily_cap");
  EXPECT_EQ(*misfire_of("all"), Misfire::kAll);
  EXPECT_EQ(name_of(Misfire::kSkip), "skip");
  EXPECT_FALSE(misfire_of("some"));
}

}  // namespace
}  // namespace bobby::bot
