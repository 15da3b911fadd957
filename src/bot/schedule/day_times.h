#pragma once

#include <bitset>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bot/schedule/cron.h"
#include "bot/schedule/zone.h"

namespace bobby::bot {

/// Hours of a day, from `begin` up to `end` after midnight; `end` may be past 24:00.
struct Window {
  std::chrono::minutes begin{0};
  std::chrono::minutes end{0};
};

/// Moments [begin, end).
struct Span {
  TimePoint begin;
  TimePoint end;
  bool holds(TimePoint time) const { return begin <= time && time < end; }
};

/// Each "HH:MM-HH:MM" of `texts`; kUsage at `key` says what is wrong with which.
Result<std::vector<Window>> parse_windows(std::span<const std::string> texts, std::string_view key);

/// The days named, from Sunday; all where none is. kUsage for what is no day of the week.
Result<std::bitset<7>> parse_weekdays(std::span<const std::string> names);

/// `windows` on `date`, in order and without overlaps. Where clocks change, a window begins with
/// the first and ends with the last moment that shows its hours.
std::vector<Span> spans_on(LocalDate date, std::span<const Window> windows, const Zone& zone);

/// `spans` without `holes`; both in order and without overlaps.
std::vector<Span> without(std::span<const Span> spans, std::span<const Span> holes);

/// The moments that `cron` names on `date`, in order, each once.
std::vector<TimePoint> cron_times(const Cron& cron, LocalDate date, const Zone& zone);

/// `count` moments of `spans`, in order: one in each of as many equal parts, drawn from
/// (seed, date), and not within the outer tenths of its part, so that two keep a distance.
std::vector<TimePoint> spread_times(std::span<const Span> spans, int count, std::uint64_t seed,
                                    LocalDate date);

}  // namespace bobby::bot
