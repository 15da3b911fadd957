#include "unit/bot/year_simulation.h"

#include <algorithm>

#include "base/random.h"
#include "unit/bot/schedule_fixture.h"

namespace bobby::bot {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;
using std::chrono::seconds;

constexpr int kRestart = 97;  // plans

LocalDate local_day(int year, unsigned month, unsigned day) {
  return std::chrono::local_days(std::chrono::year(year) / month / day);
}

seconds shift_at(const Scenario& scenario, TimePoint time) {
  for (const ClockError& error : scenario.clock_errors)
    if (error.at <= time && time < error.at + 1h) return error.shift;
  return 0s;
}

std::optional<TimePoint> back_at(const Scenario& scenario, TimePoint time) {
  for (const Span& span : scenario.away)
    if (span.holds(time)) return span.end;
  return std::nullopt;
}

// What the store would give: the posts of the last two days, by the clock of their time.
std::vector<TimePoint> recent(const std::vector<TimePoint>& shown) {
  return {shown.end() - std::min<std::ptrdiff_t>(std::ssize(shown), 64), shown.end()};
}

void note(Year& year, const std::vector<std::string>& notes) {
  for (const std::string& text : notes)
    if (std::ranges::find(year.notes, text) == year.notes.end()) year.notes.push_back(text);
}

}  // namespace

Span year_of(const Schedule& schedule) {
  return {schedule.zone().first(local_day(2025, 1, 1)),
          schedule.zone().first(local_day(2026, 1, 1))};
}

Year simulate(const Scenario& scenario) {
  Schedule schedule = made(scenario.config);
  const Span whole = year_of(schedule);
  Year year;
  year.slots = schedule.slots(whole.begin, whole.end);
  std::vector<TimePoint> shown;
  TimePoint handled = whole.begin - 1s;
  for (TimePoint now = whole.begin; now < whole.end;) {
    if (const auto back = back_at(scenario, now)) {
      now = *back;
      continue;
    }
    if (++year.plans % kRestart == 0) schedule = made(scenario.config);
    const TimePoint clock = now + shift_at(scenario, now);
    const Plan plan = schedule.plan(clock, handled, recent(shown));
    for (const Slot& slot : plan.fire) {
      year.posted.push_back(
          {.time = now, .slot = slot, .late = clock > slot.due + scenario.config.misfire_grace});
      shown.push_back(clock);
    }
    for (const DroppedSlot& slot : plan.dropped) year.dropped.push_back(slot);
    note(year, plan.notes);
    handled = plan.handled_until;
    const seconds sleep = std::min<seconds>(plan.look_again - clock, 1h);
    const double late = uniform(1, static_cast<std::uint32_t>(year.plans), 0, 0) * 6;
    now += sleep + seconds(static_cast<int>(late));
  }
  year.waiting = schedule.slots(handled + 1s, whole.end);
  return year;
}

namespace {

std::vector<Span> outages() {
  return {{utc(2025, 1, 14, 9h), utc(2025, 1, 14, 17h)},
          {utc(2025, 2, 20, 6h), utc(2025, 2, 21, 8h)},
          {utc(2025, 3, 29, 20h), utc(2025, 3, 30, 10h)},  // over a change of clocks
          {utc(2025, 5, 5, 18h), utc(2025, 5, 5, 18h + 20min)},
          {utc(2025, 7, 10, 12h), utc(2025, 7, 20, 15h)},
          {utc(2025, 10, 25, 20h), utc(2025, 10, 26, 9h)},
          {utc(2025, 12, 24, 6h), utc(2025, 12, 27, 18h)}};
}

// A laptop that is closed at night and from Friday evening to Monday.
std::vector<Span> closed_lid() {
  std::vector<Span> spans;
  for (std::chrono::sys_days day{std::chrono::year(2025) / 1 / 1}; day < utc(2026, 1, 1);
       day += days(1)) {
    const unsigned weekday = std::chrono::weekday(day).iso_encoding();
    if (weekday <= 4) spans.push_back({day + 14h, day + 28h + 30min});
    if (weekday == 5) spans.push_back({day + 12h, day + days(2) + 29h});
  }
  return spans;
}

ScheduleConfig four_a_day(Misfire misfire, int daily_cap) {
  return {.per_day = 4,
          .windows = {"08:00-11:30", "17:00-22:00"},
          .zone = "Europe/Berlin",
          .quiet = {"23:00-07:00"},
          .jitter = 10min,
          .seed = 1,
          .misfire = misfire,
          .hourly_cap = 2,
          .daily_cap = daily_cap};
}

}  // namespace

std::vector<Scenario> scenarios() {
  std::vector<Scenario> made;
  made.push_back({"always on", "4 a day, Berlin", four_a_day(Misfire::kOne, 4)});
  made.push_back(
      {"outages, skip", "4 a day, Berlin; 7 outages", four_a_day(Misfire::kSkip, 4), outages()});
  made.push_back(
      {"outages, one", "4 a day, Berlin; 7 outages", four_a_day(Misfire::kOne, 4), outages()});
  made.push_back(
      {"outages, all", "4 a day, Berlin; 7 outages", four_a_day(Misfire::kAll, 6), outages()});
  made.push_back({"too many",
                  "cron */30, New York; caps below it",
                  {.cron = "*/30 * * * *",
                   .zone = "America/New_York",
                   .quiet = {"01:00-05:00"},
                   .jitter = 15min,
                   .seed = 2,
                   .hourly_cap = 2,
                   .daily_cap = 24},
                  outages()});
  made.push_back({"half an hour",
                  "cron 15,45 1-3, Lord Howe, whose summer is 30 minutes",
                  {.cron = "15,45 1-3 * * *",
                   .zone = "Australia/Lord_Howe",
                   .misfire = Misfire::kAll,
                   .hourly_cap = 2,
                   .daily_cap = 8},
                  outages()});
  made.push_back({"no midnight",
                  "cron @daily, Santiago, where clocks change at midnight",
                  {.cron = "@daily", .zone = "America/Santiago", .hourly_cap = 1, .daily_cap = 1}});
  made.push_back({"closed lid",
                  "2 on weekdays, Kolkata; asleep at night and at weekends",
                  {.per_day = 2,
                   .windows = {"09:00-21:00"},
                   .zone = "Asia/Kolkata",
                   .weekdays = {"mon", "tue", "wed", "thu", "fri"},
                   .quiet = {"21:00-09:00"},
                   .seed = 3,
                   .hourly_cap = 1,
                   .daily_cap = 3},
                  closed_lid()});
  made.push_back({"wrong clock",
                  "cron @hourly, UTC; wrong by -2 h, +3 h, -1 day for an hour each",
                  {.cron = "@hourly", .zone = "UTC", .hourly_cap = 2, .daily_cap = 24},
                  {},
                  {{utc(2025, 3, 3, 9h + 30min), -2h},
                   {utc(2025, 6, 6, 12h + 15min), 3h},
                   {utc(2025, 9, 9, 15h + 45min), -24h}}});
  return made;
}

}  // namespace bobby::bot
