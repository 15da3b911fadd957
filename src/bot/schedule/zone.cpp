#include "bot/schedule/zone.h"

#include <date/tz.h>
#include <exception>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>

namespace bobby::bot {
namespace {

date::sys_seconds outward(TimePoint time) {
  return date::sys_seconds(time.time_since_epoch());
}
TimePoint inward(date::sys_seconds time) {
  return TimePoint(time.time_since_epoch());
}

date::local_info info_of(const date::time_zone& zone, LocalTime time) {
  return zone.get_info(date::local_seconds(time.time_since_epoch()));
}

std::chrono::seconds offset_at(const date::time_zone& zone, date::sys_days day) {
  return zone.get_info(date::sys_seconds(day)).offset;
}

// The library reads the transitions that a file lists and not the rule behind them. Files may leave
// the list to the rule ("slim"); times of such a zone would be an hour wrong half of the year.
bool lists_its_changes(const date::time_zone& zone) {
  using namespace date::literals;
  const std::filesystem::path folder = "/usr/share/zoneinfo";
  std::ifstream stream(folder / zone.name(), std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(stream), {});
  if (!bytes.empty() && bytes.back() == '\n') bytes.pop_back();
  const std::size_t line = bytes.rfind('\n');
  if (line == std::string::npos || bytes.find(',', line) == std::string::npos) return true;
  const auto winter = offset_at(zone, 2037_y / 1 / 15);
  return winter != offset_at(zone, 2037_y / 4 / 15) || winter != offset_at(zone, 2037_y / 7 / 15) ||
         winter != offset_at(zone, 2037_y / 10 / 15);
}

}  // namespace

Result<Zone> Zone::find(std::string_view name) {
  const date::time_zone* zone = nullptr;
  try {
    zone = name == "local" ? date::current_zone() : date::locate_zone(name);
  } catch (const std::exception&) {
    if (name == "local")
      return fail({.code = ErrorCode::kNotFound,
                   .where = "zone",
                   .problem = "this machine does not say which time zone it is in",
                   .hint = "name one, e.g. zone = \"Europe/Berlin\""});
    return fail({.code = ErrorCode::kNotFound,
                 .where = "zone",
                 .problem = "there is no such time zone",
                 .expected = "a name like \"Europe/Berlin\", \"UTC\" or \"local\"",
                 .found = fmt::format("\"{}\"", name)});
  }
  if (!lists_its_changes(*zone))
    return fail({.code = ErrorCode::kUnsupported,
                 .where = "zone",
                 .problem = "the system's time zone files do not list when clocks change",
                 .found = zone->name(),
                 .hint = "install time zone files made with zic -b fat, or use \"UTC\""});
  return Zone(zone, zone->name());
}

LocalTime Zone::to_local(TimePoint time) const {
  return LocalTime(zone_->to_local(outward(time)).time_since_epoch());
}

TimePoint Zone::first(LocalTime time) const {
  const date::local_info info = info_of(*zone_, time);
  if (info.result == date::local_info::nonexistent) return inward(info.first.end);
  return TimePoint(time.time_since_epoch() - info.first.offset);
}

TimePoint Zone::last(LocalTime time) const {
  const date::local_info info = info_of(*zone_, time);
  if (info.result != date::local_info::ambiguous) return first(time);
  return TimePoint(time.time_since_epoch() - info.second.offset);
}

std::string to_text(LocalTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  std::string text =
      fmt::format("{:04}-{:02}-{:02} {:02}:{:02}", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  clock.hours().count(), clock.minutes().count());
  if (clock.seconds().count() != 0) text += fmt::format(":{:02}", clock.seconds().count());
  return text;
}

}  // namespace bobby::bot
