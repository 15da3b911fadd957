#pragma once

#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

#include "bot/schedule/schedule.h"

namespace bobby::bot {

/// A moment of UTC; `clock` since midnight.
inline TimePoint utc(int year, unsigned month, unsigned day, std::chrono::seconds clock = {}) {
  return std::chrono::sys_days(std::chrono::year(year) / month / day) + clock;
}

inline Schedule made(const ScheduleConfig& config) {
  auto schedule = Schedule::make(config);
  EXPECT_TRUE(schedule) << (schedule ? "" : schedule.error().to_string());
  return *std::move(schedule);
}

inline std::string refusal(const ScheduleConfig& config) {
  const auto schedule = Schedule::make(config);
  return schedule ? "" : schedule.error().to_string();
}

/// The planned local times of the slots due in [from, until).
inline std::vector<std::string> local_times(const Schedule& schedule, TimePoint from,
                                            TimePoint until) {
  std::vector<std::string> times;
  for (const Slot& slot : schedule.slots(from, until)) times.push_back(slot.local);
  return times;
}

}  // namespace bobby::bot
