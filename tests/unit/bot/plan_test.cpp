#include <algorithm>

#include "unit/bot/schedule_fixture.h"

namespace bobby::bot {
namespace {

using namespace std::chrono_literals;
using Times = std::vector<std::string>;

Times locals(const std::vector<Slot>& slots) {
  Times times;
  for (const Slot& slot : slots) times.push_back(slot.local.substr(11));
  return times;
}
Times locals(const std::vector<DroppedSlot>& dropped) {
  Times times;
  for (const DroppedSlot& drop : dropped) times.push_back(drop.slot.local.substr(11));
  return times;
}

ScheduleConfig hourly(Misfire misfire) {
  return {.cron = "@hourly", .zone = "UTC", .misfire = misfire, .hourly_cap = 0, .daily_cap = 0};
}
const TimePoint kDay = utc(2025, 6, 2);

TEST(Plan, ASlotFiresOnceWhenItIsDue) {
  const Schedule schedule = made(hourly(Misfire::kOne));
  Plan plan = schedule.plan(kDay + 8h + 59min, kDay + 8h, {});
  EXPECT_TRUE(plan.fire.empty());
  EXPECT_EQ(plan.look_again, kDay + 9h);
  plan = schedule.plan(kDay + 9h, plan.handled_until, {});
  EXPECT_EQ(locals(plan.fire), Times{"09:00"});
  EXPECT_EQ(plan.look_again, kDay + 10h);
  plan = schedule.plan(kDay + 9h, plan.handled_until, {});
  EXPECT_TRUE(plan.fire.empty());
  EXPECT_TRUE(plan.notes.empty());
}

TEST(Plan, MisfirePolicies) {
  const TimePoint now = kDay + 12h + 30min;  // 10:00, 11:00 and 12:00 were missed
  const Plan skip = made(hourly(Misfire::kSkip)).plan(now, kDay + 9h, {});
  EXPECT_TRUE(skip.fire.empty());
  EXPECT_EQ(locals(skip.dropped), (Times{"10:00", "11:00", "12:00"}));
  EXPECT_EQ(skip.dropped[0].why, "2025-06-02 10:00 was missed by 2 h 30 min");

  const Plan one = made(hourly(Misfire::kOne)).plan(now, kDay + 9h, {});
  EXPECT_EQ(locals(one.fire), Times{"12:00"});
  EXPECT_EQ(locals(one.dropped), (Times{"10:00", "11:00"}));

  const Plan all = made(hourly(Misfire::kAll)).plan(now, kDay + 9h, {});
  EXPECT_EQ(locals(all.fire), (Times{"10:00", "11:00", "12:00"}));
  EXPECT_TRUE(all.dropped.empty());
  for (const Plan& plan : {skip, one, all}) EXPECT_EQ(plan.handled_until, now);
}

TEST(Plan, WithinItsGraceASlotIsInTime) {
  const TimePoint now = kDay + 12h + 10min;
  EXPECT_EQ(locals(made(hourly(Misfire::kSkip)).plan(now, kDay + 9h, {}).fire), Times{"12:00"});
  // The slot in time is the one post that is made.
  const Plan one = made(hourly(Misfire::kOne)).plan(now, kDay + 9h, {});
  EXPECT_EQ(locals(one.fire), Times{"12:00"});
  EXPECT_EQ(locals(one.dropped), (Times{"10:00", "11:00"}));
}

TEST(Plan, TheHourlyCapHoldsSlotsBack) {
  ScheduleConfig config = hourly(Misfire::kAll);
  config.hourly_cap = 2;
  const Schedule schedule = made(config);
  const TimePoint now = kDay + 12h + 30min;
  const std::vector<TimePoint> posted = {kDay + 12h, kDay + 3h};
  Plan plan = schedule.plan(now, kDay + 9h, posted);
  EXPECT_EQ(locals(plan.fire), Times{"10:00"});
  EXPECT_EQ(locals(plan.held), (Times{"11:00", "12:00"}));
  EXPECT_EQ(plan.handled_until, kDay + 11h - 1s);
  EXPECT_EQ(plan.look_again, kDay + 13h);  // the next slot, and the post of 12:00 is an hour old
  plan = schedule.plan(kDay + 13h, plan.handled_until, std::vector<TimePoint>{kDay + 12h, now});
  EXPECT_EQ(locals(plan.fire), Times{"11:00"});
  EXPECT_EQ(locals(plan.held), (Times{"12:00", "13:00"}));
  EXPECT_EQ(plan.look_again, kDay + 13h + 30min);
}

TEST(Plan, TheDailyCapDropsOrWithAllWaits) {
  ScheduleConfig config = hourly(Misfire::kOne);
  config.zone = "America/New_York";
  config.daily_cap = 2;
  // 03:00 in New York; a post before midnight there does not count.
  const TimePoint now = kDay + 7h;
  const std::vector<TimePoint> posted = {kDay + 3h, kDay + 5h, kDay + 6h};
  const Plan one = made(config).plan(now, now - 1s, posted);
  EXPECT_TRUE(one.fire.empty());
  ASSERT_EQ(locals(one.dropped), Times{"03:00"});
  EXPECT_EQ(one.dropped[0].reason, DropReason::kDailyCap);
  EXPECT_EQ(one.dropped[0].why, "2025-06-02 03:00: the day has its 2 posts");
  config.misfire = Misfire::kAll;
  const Plan all = made(config).plan(now, now - 1s, posted);
  EXPECT_EQ(locals(all.held), Times{"03:00"});
  EXPECT_EQ(all.handled_until, now - 1s);
  EXPECT_EQ(locals(made(config).plan(now, now - 1s, std::span(posted).first(2)).fire),
            Times{"03:00"});
}

TEST(Plan, NothingFiresInQuietHours) {
  ScheduleConfig config{.cron = "55 22 * * *", .zone = "UTC", .quiet = {"23:00-07:00"}};
  const Schedule schedule = made(config);
  Plan plan = schedule.plan(kDay + 23h + 1min, kDay, {});
  EXPECT_TRUE(plan.fire.empty());
  EXPECT_EQ(locals(plan.held), Times{"22:55"});
  EXPECT_EQ(plan.look_again, kDay + 31h);
  plan = schedule.plan(plan.look_again, plan.handled_until, {});
  EXPECT_EQ(locals(plan.fire), Times{"22:55"});  // missed by then, and made up for
}

TEST(Plan, AClockSetBackFiresNothingTwiceAndIsSaid) {
  const Schedule schedule = made(hourly(Misfire::kAll));
  const TimePoint handled = kDay + 12h;
  const Plan plan = schedule.plan(kDay + 9h, handled, std::vector<TimePoint>{handled});
  EXPECT_TRUE(plan.fire.empty());
  EXPECT_TRUE(plan.dropped.empty());
  EXPECT_EQ(plan.handled_until, handled);
  EXPECT_EQ(plan.look_again, kDay + 13h);
  ASSERT_EQ(plan.notes.size(), 1u);
  EXPECT_EQ(plan.notes[0],
            "the clock was set back: slots up to 2025-06-02 12:00 "
            "were handled; nothing fires before");
}

TEST(Plan, PostsOfTheFutureCountForTheCaps) {
  ScheduleConfig config = hourly(Misfire::kOne);
  config.hourly_cap = 1;
  const Plan plan =
      made(config).plan(kDay + 9h, kDay + 8h, std::vector<TimePoint>{kDay + 9h + 40min});
  EXPECT_TRUE(plan.fire.empty());
  EXPECT_EQ(locals(plan.held), Times{"09:00"});
  EXPECT_EQ(plan.look_again, kDay + 10h);
}

TEST(Plan, LooksBackAMonthAtMost) {
  const Schedule schedule = made({.cron = "@daily", .zone = "UTC", .misfire = Misfire::kSkip});
  const Plan plan = schedule.plan(kDay + 12h, TimePoint{}, {});
  EXPECT_EQ(plan.dropped.size(), 31u);
  ASSERT_EQ(plan.notes.size(), 1u);
  EXPECT_EQ(plan.notes[0], "slots before 2025-05-02 12:00 are forgotten");
}

}  // namespace
}  // namespace bobby::bot
