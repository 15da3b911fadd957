#include "bot/schedule/schedule.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/random.h"
#include "bot/schedule/draws.h"

namespace bobby::bot {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::seconds;

constexpr int kMostPerDay = 288;
constexpr hours kMostJitter{12};
constexpr days kMostGrace{31};
constexpr int kMostCap = 10'000;
// How much longer than others a day is at most where clocks are set back.
constexpr hours kLongerDay{3};
constexpr days kSearch{40 * 366};
constexpr std::array<std::string_view, 3> kMisfires = {"skip", "one", "all"};

tl::unexpected<Error> wrong(std::string key, std::string problem, std::string expected = "",
                            std::string found = "") {
  return fail({.code = ErrorCode::kUsage,
               .where = std::move(key),
               .problem = std::move(problem),
               .expected = std::move(expected),
               .found = std::move(found)});
}

Result<void> check_number(std::string_view key, std::int64_t value, std::int64_t least,
                          std::int64_t most) {
  if (value >= least && value <= most) return {};
  return wrong(std::string(key), "is out of range", fmt::format("{} to {}", least, most),
               fmt::format("{}", value));
}

Result<void> check_numbers(const ScheduleConfig& config) {
  if (config.cron.empty() && config.per_day == 0)
    return wrong("cron", "is not set, and neither is per_day: there is nothing to post by");
  if (!config.cron.empty() && config.per_day != 0)
    return wrong("cron", "and per_day are both set; keep one");
  if (!config.cron.empty() && !config.windows.empty())
    return wrong("windows", "belong to per_day; a cron expression names its hours itself");
  if (config.cron.empty()) BOBBY_CHECK(check_number("per_day", config.per_day, 1, kMostPerDay));
  BOBBY_CHECK(check_number("jitter", config.jitter.count(), 0, seconds(kMostJitter).count()));
  BOBBY_CHECK(
      check_number("misfire_grace", config.misfire_grace.count(), 0, seconds(kMostGrace).count()));
  BOBBY_CHECK(check_number("hourly_cap", config.hourly_cap, 0, kMostCap));
  return check_number("daily_cap", config.daily_cap, 0, kMostCap);
}

}  // namespace

Result<Misfire> misfire_of(std::string_view name) {
  const auto known = std::ranges::find(kMisfires, name);
  if (known != kMisfires.end()) return static_cast<Misfire>(known - kMisfires.begin());
  return wrong("misfire", "is no policy", "\"skip\", \"one\" or \"all\"",
               fmt::format("\"{}\"", name));
}

std::string_view name_of(Misfire misfire) {
  return kMisfires[static_cast<std::size_t>(misfire)];
}

Result<Schedule> Schedule::make(const ScheduleConfig& config) {
  BOBBY_CHECK(check_numbers(config));
  BOBBY_TRY(Zone zone, Zone::find(config.zone));
  Schedule schedule(config, std::move(zone));
  if (!config.cron.empty()) {
    BOBBY_TRY(schedule.cron_, Cron::parse(config.cron));
  }
  BOBBY_TRY(schedule.windows_, parse_windows(config.windows, "windows"));
  if (schedule.windows_.empty()) schedule.windows_.push_back({.end = hours(24)});
  BOBBY_TRY(schedule.quiet_, parse_windows(config.quiet, "quiet"));
  std::chrono::minutes latest = hours(24);
  for (const Window& window : schedule.windows_) latest = std::max(latest, window.end);
  schedule.reach_ = std::chrono::ceil<days>(latest + config.jitter + kLongerDay);
  BOBBY_TRY(schedule.weekdays_, parse_weekdays(config.weekdays));
  // From a fixed day, so that the answer does not hang on the clock.
  if (!schedule.next(std::chrono::sys_days(std::chrono::year(2024) / 1 / 1)))
    return wrong(config.cron.empty() ? "windows" : "cron",
                 "leaves no time to post at, with these quiet hours and weekdays");
  return schedule;
}

bool Schedule::on(LocalDate date) const {
  return weekdays_[std::chrono::weekday(date).c_encoding()] &&
         (!cron_ || cron_->on(std::chrono::year_month_day(date)));
}

// The quiet hours that begin on `first` to `last`, in order.
std::vector<Span> Schedule::quiet_hours(LocalDate first, LocalDate last) const {
  std::vector<Span> spans;
  if (quiet_.empty()) return spans;
  for (LocalDate day = first; day <= last; day += days(1))
    for (const Span& span : spans_on(day, quiet_, zone_)) {
      if (!spans.empty() && span.begin <= spans.back().end)
        spans.back().end = std::max(spans.back().end, span.end);
      else
        spans.push_back(span);
    }
  return spans;
}

// Due before `end`, where quiet hours begin or the slot's window ends.
Slot Schedule::slot_at(TimePoint planned, TimePoint end) const {
  const seconds room = std::min(config_.jitter, end - planned - seconds(1));
  seconds late{0};
  if (room > seconds(0)) {
    const auto at = static_cast<std::uint64_t>(planned.time_since_epoch().count());
    const double drawn = uniform(config_.seed, static_cast<std::uint32_t>(at),
                                 static_cast<std::uint32_t>(at >> 32), kDrawJitter);
    late = seconds(static_cast<std::int64_t>(drawn * static_cast<double>(room.count() + 1)));
  }
  return {.planned = planned, .due = planned + late};
}

std::vector<Slot> Schedule::slots_of(LocalDate date, std::span<const Span> quiet) const {
  std::vector<Slot> slots;
  if (!on(date)) return slots;
  std::vector<Span> open;
  if (cron_)
    open = without(std::vector<Span>{{zone_.first(date), zone_.last(date + reach_)}}, quiet);
  else
    open = without(spans_on(date, windows_, zone_), quiet);
  const std::vector<TimePoint> times =
      cron_ ? cron_times(*cron_, date, zone_)
            : spread_times(open, config_.per_day, config_.seed, date);
  for (const TimePoint time : times) {
    const auto span = std::ranges::find_if(open, [&](const Span& s) { return s.holds(time); });
    if (span != open.end()) slots.push_back(slot_at(time, span->end));
  }
  return slots;
}

std::vector<Slot> Schedule::slots(TimePoint from, TimePoint until) const {
  std::vector<Slot> slots;
  if (until <= from) return slots;
  const LocalDate first = zone_.date_of(from) - reach_;
  const LocalDate last = zone_.date_of(until);
  const std::vector<Span> quiet = quiet_hours(first - days(1), last + reach_);
  for (LocalDate date = first; date <= last; date += days(1))
    for (Slot& slot : slots_of(date, quiet)) slots.push_back(std::move(slot));
  std::ranges::sort(slots, {}, [](const Slot& slot) { return std::pair(slot.due, slot.planned); });
  // Slots due in one second are one: what was handled is told by the time alone.
  const auto same_time = [](const Slot& a, const Slot& b) { return a.due == b.due; };
  slots.erase(std::unique(slots.begin(), slots.end(), same_time), slots.end());
  std::erase_if(slots, [&](const Slot& slot) { return slot.due < from || slot.due >= until; });
  for (Slot& slot : slots) slot.local = to_text(zone_.to_local(slot.planned));
  return slots;
}

std::optional<Slot> Schedule::next(TimePoint time) const {
  TimePoint begin = time + seconds(1);
  const TimePoint end = begin + kSearch;
  for (days ahead{1}; begin < end; begin += ahead, ahead *= 4) {
    const std::vector<Slot> found = slots(begin, begin + ahead);
    if (!found.empty()) return found.front();
  }
  return std::nullopt;
}

std::optional<TimePoint> Schedule::quiet_until(TimePoint now) const {
  const LocalDate today = zone_.date_of(now);
  for (const Span& span : quiet_hours(today - days(1), today))
    if (span.holds(now)) return span.end;
  return std::nullopt;
}

}  // namespace bobby::bot
