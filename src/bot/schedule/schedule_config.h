#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby::bot {

/// What becomes of slots that were missed: the machine was off, a cap was reached.
enum class Misfire {
  kSkip,  ///< none is made up for
  kOne,   ///< the latest is, the others are not
  kAll,   ///< each is, as soon as the caps allow
};

/// kUsage for anything but "skip", "one" and "all".
Result<Misfire> misfire_of(std::string_view name);
std::string_view name_of(Misfire misfire);

/// When a bot posts. Texts are as a person writes them; Schedule::make() reads and checks them.
struct ScheduleConfig {
  /// Either a cron expression (see Cron) ...
  std::string cron = {};
  /// ... or so many posts a day, spread at random over the windows, with some distance between
  /// them.
  int per_day = 0;
  /// "08:00-11:30"; "22:00-02:00" goes on past midnight. None: the whole day.
  std::vector<std::string> windows = {};

  /// IANA's name, or "local": this machine's.
  std::string zone = "local";
  /// Days on which slots may be ("mon", "monday"); none: every day.
  std::vector<std::string> weekdays = {};
  /// Hours without posts, written as windows are. Slots in them are none, and nothing fires in
  /// them.
  std::vector<std::string> quiet = {};
  /// A slot is due up to so much later than planned, drawn from (seed, slot), and never in quiet
  /// hours or behind its window.
  std::chrono::seconds jitter{0};
  std::uint64_t seed = 0;

  Misfire misfire = Misfire::kOne;
  /// A slot that is later than this is missed.
  std::chrono::seconds misfire_grace{600};
  /// Most posts within any 60 minutes; 0: no cap.
  int hourly_cap = 4;
  /// Most posts in a day of the zone's calendar; 0: no cap.
  int daily_cap = 24;
};

}  // namespace bobby::bot
