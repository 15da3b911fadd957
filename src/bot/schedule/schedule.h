#pragma once

#include <bitset>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "bot/schedule/cron.h"
#include "bot/schedule/day_times.h"
#include "bot/schedule/schedule_config.h"
#include "bot/schedule/zone.h"

namespace bobby::bot {

/// A time to post. `planned` tells slots apart: no two of a schedule have the same.
struct Slot {
  TimePoint planned;  ///< before jitter
  TimePoint due;
  std::string local = {};  ///< `planned` in the schedule's zone: "2026-03-29 03:00"
  bool operator==(const Slot&) const = default;
};

enum class DropReason { kMissed, kDailyCap };

/// A slot that will not fire, and the sentence that says why.
struct DroppedSlot {
  Slot slot;
  DropReason reason;
  std::string why;
};

/// What there is to do at a moment.
struct Plan {
  std::vector<Slot> fire;            ///< now, in order
  std::vector<DroppedSlot> dropped;  ///< never
  std::vector<Slot> held;  ///< not yet: quiet hours, or a cap; planned again at `look_again`
  /// To be kept for the next plan: slots due up to here were fired or dropped. Never earlier than
  /// what was handed in.
  TimePoint handled_until;
  TimePoint look_again;            ///< nothing changes before; always after now
  std::vector<std::string> notes;  ///< what a person should know: the clock was set back
};

/// Slots are a pure function of the config, its seed and the date: a restart or another process
/// computes the same.
class Schedule {
 public:
  /// kUsage, kNotFound, kUnsupported: what is wrong in which key. kUsage, too, for a schedule that
  /// never has a slot.
  static Result<Schedule> make(const ScheduleConfig& config);

  /// The slots due in [from, until), by `due`.
  std::vector<Slot> slots(TimePoint from, TimePoint until) const;
  /// The first slot due after `time`; nothing where there is none in 40 years.
  std::optional<Slot> next(TimePoint time) const;

  /// Which slots due in (handled_until, now] fire now. `posted`: when posts were made (those of the
  /// last day are enough), in any order; the caps count them and what fires.
  /// Slots more than 31 days old are forgotten. Where `handled_until` lies after `now`, the clock
  /// was set back: nothing fires before it, and a note says so.
  Plan plan(TimePoint now, TimePoint handled_until, std::span<const TimePoint> posted) const;

  /// The first moment from `now` on at which a post may go out, whether or not there is a slot:
  /// no quiet hour, and room below both caps, which count `posted`.
  TimePoint allowed_from(TimePoint now, std::span<const TimePoint> posted) const;

  const Zone& zone() const { return zone_; }

 private:
  Schedule(const ScheduleConfig& config, Zone zone) : config_(config), zone_(std::move(zone)) {}

  bool on(LocalDate date) const;
  std::vector<Span> quiet_hours(LocalDate first, LocalDate last) const;
  std::vector<Slot> slots_of(LocalDate date, std::span<const Span> quiet) const;
  Slot slot_at(TimePoint planned, TimePoint end) const;
  std::optional<TimePoint> quiet_until(TimePoint now) const;

  ScheduleConfig config_;
  Zone zone_;
  std::optional<Cron> cron_;
  std::vector<Window> windows_;
  std::vector<Window> quiet_;
  std::bitset<7> weekdays_;
  std::chrono::days reach_{0};  // a date's slots are due less than so many days after its beginning
};

}  // namespace bobby::bot
