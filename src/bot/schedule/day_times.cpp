#include "bot/schedule/day_times.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>

#include "base/random.h"
#include "bot/schedule/draws.h"

namespace bobby::bot {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// "HH:MM" from 00:00 to 24:00.
std::optional<minutes> clock_of(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  for (const std::size_t at : {0, 1, 3, 4})
    if (text[at] < '0' || text[at] > '9') return std::nullopt;
  const int hour = (text[0] - '0') * 10 + (text[1] - '0');
  const int minute = (text[3] - '0') * 10 + (text[4] - '0');
  if (minute > 59 || hour * 60 + minute > 24 * 60) return std::nullopt;
  return hours(hour) + minutes(minute);
}

// "HH:MM-HH:MM"; an end that is not after the begin is the next day's.
std::optional<Window> window_of(std::string_view text) {
  if (text.size() != 11 || text[5] != '-') return std::nullopt;
  const std::optional<minutes> begin = clock_of(text.substr(0, 5));
  const std::optional<minutes> end = clock_of(text.substr(6));
  if (!begin.has_value() || !end.has_value()) return std::nullopt;
  if (*begin == hours(24) || *begin == *end) return std::nullopt;
  return Window{.begin = *begin, .end = *end > *begin ? *end : *end + hours(24)};
}

std::vector<Span> joined(std::vector<Span> spans) {
  std::ranges::sort(spans, {}, &Span::begin);
  std::vector<Span> made;
  for (const Span& span : spans) {
    if (span.end <= span.begin) continue;
    if (!made.empty() && span.begin <= made.back().end)
      made.back().end = std::max(made.back().end, span.end);
    else
      made.push_back(span);
  }
  return made;
}

}  // namespace

Result<std::vector<Window>> parse_windows(std::span<const std::string> texts,
                                          std::string_view key) {
  std::vector<Window> windows;
  for (const std::string& text : texts) {
    const std::optional<Window> window = window_of(text);
    if (!window)
      return fail({.code = ErrorCode::kUsage,
                   .where = std::string(key),
                   .problem = "is no part of a day",
                   .expected = "\"HH:MM-HH:MM\", from 00:00 to 24:00",
                   .found = fmt::format("\"{}\"", text)});
    windows.push_back(*window);
  }
  return windows;
}

Result<std::bitset<7>> parse_weekdays(std::span<const std::string> names) {
  constexpr std::array<std::string_view, 7> kNames = {"sunday",   "monday", "tuesday", "wednesday",
                                                      "thursday", "friday", "saturday"};
  std::bitset<7> days;
  if (names.empty()) return days.set();
  for (const std::string& name : names) {
    std::string plain = name;
    for (char& c : plain)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const auto day = std::ranges::find_if(kNames, [&](std::string_view known) {
      return plain == known || plain == known.substr(0, 3);
    });
    if (day == kNames.end())
      return fail({.code = ErrorCode::kUsage,
                   .where = "weekdays",
                   .problem = "is no day of the week",
                   .expected = "names like \"mon\" or \"monday\"",
                   .found = fmt::format("\"{}\"", name)});
    days.set(static_cast<std::size_t>(day - kNames.begin()));
  }
  return days;
}

std::vector<Span> spans_on(LocalDate date, std::span<const Window> windows, const Zone& zone) {
  std::vector<Span> spans;
  for (const Window& window : windows)
    spans.push_back({zone.first(date + window.begin), zone.last(date + window.end)});
  return joined(std::move(spans));
}

std::vector<Span> without(std::span<const Span> spans, std::span<const Span> holes) {
  std::vector<Span> left;
  for (Span span : spans) {
    for (const Span& hole : holes) {
      if (hole.end <= span.begin || hole.begin >= span.end) continue;
      if (hole.begin > span.begin) left.push_back({span.begin, hole.begin});
      span.begin = std::min(hole.end, span.end);
    }
    if (span.begin < span.end) left.push_back(span);
  }
  return left;
}

std::vector<TimePoint> cron_times(const Cron& cron, LocalDate date, const Zone& zone) {
  std::vector<TimePoint> times;
  if (!cron.on(std::chrono::year_month_day(date))) return times;
  for (int hour = 0; hour < 24; ++hour) {
    if (!cron.hours()[static_cast<std::size_t>(hour)]) continue;
    for (int minute = 0; minute < 60; ++minute)
      if (cron.minutes()[static_cast<std::size_t>(minute)])
        times.push_back(zone.first(date + hours(hour) + minutes(minute)));
  }
  // Where clocks are set back, what is shown once in between stands among what is shown twice.
  std::ranges::sort(times);
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

std::vector<TimePoint> spread_times(std::span<const Span> spans, int count, std::uint64_t seed,
                                    LocalDate date) {
  constexpr double kMargin = 0.1;
  seconds total{0};
  for (const Span& span : spans) total += span.end - span.begin;
  std::vector<TimePoint> times;
  if (total == seconds(0)) return times;
  const auto day = static_cast<std::uint32_t>(date.time_since_epoch().count());
  const double part = static_cast<double>(total.count()) / count;
  for (int i = 0; i < count; ++i) {
    const double drawn = uniform(seed, day, static_cast<std::uint32_t>(i), kDrawTime);
    const double inside = kMargin + (1 - 2 * kMargin) * drawn;
    seconds left{static_cast<std::int64_t>((i + inside) * part)};
    auto span = spans.begin();
    for (; span + 1 != spans.end() && left >= span->end - span->begin; ++span)
      left -= span->end - span->begin;
    times.push_back(std::min(span->begin + left, span->end - seconds(1)));
  }
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

}  // namespace bobby::bot
