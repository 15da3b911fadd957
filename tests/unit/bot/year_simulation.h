#pragma once

#include <string>
#include <vector>

#include "bot/schedule/schedule.h"

namespace bobby::bot {

/// From `at` on, for an hour, the clock is wrong by `shift`.
struct ClockError {
  TimePoint at;
  std::chrono::seconds shift;
};

/// A bot's year on a fake clock.
struct Scenario {
  std::string name;
  std::string about;  ///< in words
  ScheduleConfig config;
  std::vector<Span> away = {};  ///< the machine is off or asleep
  std::vector<ClockError> clock_errors = {};
};

struct Posted {
  TimePoint time;  ///< by the true clock
  Slot slot;
  bool late = false;  ///< made up for, after its grace
};

struct Year {
  std::vector<Slot> slots;  ///< all that are due in the year
  std::vector<Posted> posted;
  std::vector<DroppedSlot> dropped;
  std::vector<Slot> waiting;       ///< when the year ends: held, or not seen yet
  std::vector<std::string> notes;  ///< each once
  int plans = 0;
};

/// 2025 in the scenario's zone. The daemon sleeps until it is to look again, an hour at most, wakes
/// up to five seconds late, and is started anew every 97 plans.
Year simulate(const Scenario& scenario);

/// First and last moment of 2025 in the schedule's zone.
Span year_of(const Schedule& schedule);

/// Zones from Lord Howe to New York, each policy, outages and suspensions, a clock that is wrong.
std::vector<Scenario> scenarios();

/// The table and the plot of docs/lab/bot-year.
std::string year_table(const std::vector<Scenario>& scenarios, const std::vector<Year>& years);
std::string year_plot(const std::vector<Scenario>& scenarios, const std::vector<Year>& years);

}  // namespace bobby::bot
