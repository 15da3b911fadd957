#include <algorithm>
#include <fmt/format.h>

#include "bot/schedule/schedule.h"

namespace bobby::bot {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr days kLookBack{31};

std::string duration_text(seconds length) {
  if (length < minutes(1)) return fmt::format("{} s", length.count());
  if (length < hours(1)) return fmt::format("{} min", length / minutes(1));
  if (length < days(2))
    return fmt::format("{} h {} min", length / hours(1), length % hours(1) / minutes(1));
  return fmt::format("{} days", length / days(1));
}

DroppedSlot missed(const Slot& slot, TimePoint now, std::string_view rest) {
  return {
      .slot = slot,
      .reason = DropReason::kMissed,
      .why = fmt::format("{} was missed by {}{}", slot.local, duration_text(now - slot.due), rest)};
}

// Leaves in `slots` those that may fire at `now`.
void apply_misfire(const ScheduleConfig& config, TimePoint now, std::vector<Slot>& slots,
                   std::vector<DroppedSlot>& dropped) {
  if (config.misfire == Misfire::kAll) return;
  const auto in_time = std::ranges::find_if(
      slots, [&](const Slot& slot) { return slot.due + config.misfire_grace >= now; });
  auto keep = in_time;
  const bool one = config.misfire == Misfire::kOne;
  if (one && in_time == slots.end() && keep != slots.begin()) --keep;
  for (auto slot = slots.begin(); slot != keep; ++slot)
    dropped.push_back(missed(*slot, now, one ? "; a later one takes its place" : ""));
  slots.erase(slots.begin(), keep);
}

// What the caps count.
class Caps {
 public:
  Caps(const ScheduleConfig& config, const Zone& zone, TimePoint now,
       std::span<const TimePoint> posted)
      : hourly_(static_cast<std::size_t>(config.hourly_cap)),
        daily_(static_cast<std::size_t>(config.daily_cap)) {
    const LocalDate today = zone.date_of(now);
    for (const TimePoint time : posted) {
      // Later than now: made before the clock was set back. They count.
      if (time > now - hours(1)) this_hour_.push_back(time);
      if (zone.date_of(time) == today) ++today_;
    }
    std::ranges::sort(this_hour_);
  }

  bool day_is_full() const { return daily_ > 0 && today_ >= daily_; }
  bool hour_is_full() const { return hourly_ > 0 && this_hour_.size() >= hourly_; }
  TimePoint hour_has_room() const { return this_hour_[this_hour_.size() - hourly_] + hours(1); }
  void count(TimePoint now) {
    this_hour_.insert(std::ranges::upper_bound(this_hour_, now), now);
    ++today_;
  }

 private:
  std::size_t hourly_;
  std::size_t daily_;
  std::size_t today_ = 0;
  std::vector<TimePoint> this_hour_;
};

}  // namespace

TimePoint Schedule::allowed_from(TimePoint now, std::span<const TimePoint> posted) const {
  // Quiet hours and caps may give way to one another a few times, not forever.
  for (int change = 0; change < 100; ++change) {
    const Caps caps(config_, zone_, now, posted);
    if (const auto quiet = quiet_until(now))
      now = *quiet;
    else if (caps.day_is_full())
      now = zone_.first(zone_.date_of(now) + days(1));
    else if (caps.hour_is_full())
      now = caps.hour_has_room();
    else
      return now;
  }
  return now;
}

Plan Schedule::plan(TimePoint now, TimePoint handled_until,
                    std::span<const TimePoint> posted) const {
  Plan plan;
  plan.handled_until = std::max(handled_until, now);
  const TimePoint seen = std::min(std::max(handled_until, now - kLookBack), plan.handled_until);
  // Those up to now, and with them the one that comes next, which is seldom a day away.
  std::vector<Slot> slots = this->slots(seen + seconds(1), plan.handled_until + days(1));
  const auto coming = std::ranges::upper_bound(slots, plan.handled_until, {}, &Slot::due);
  std::optional<Slot> following;
  if (coming != slots.end())
    following = *coming;
  else
    following = next(plan.handled_until + days(1) - seconds(1));
  slots.erase(coming, slots.end());
  plan.look_again = following ? following->due : plan.handled_until + days(1);
  if (handled_until > now) {
    plan.notes.push_back(
        fmt::format("the clock was set back: slots up to {} were handled; nothing fires before",
                    to_text(zone_.to_local(handled_until))));
    return plan;
  }
  if (handled_until < seen)
    plan.notes.push_back(
        fmt::format("slots before {} are forgotten", to_text(zone_.to_local(seen))));
  apply_misfire(config_, now, slots, plan.dropped);

  Caps caps(config_, zone_, now, posted);
  const std::optional<TimePoint> quiet = quiet_until(now);
  const auto hold = [&](const Slot& slot, TimePoint until) {
    if (plan.held.empty()) {
      plan.handled_until = std::max(handled_until, slot.due - seconds(1));
      plan.look_again = std::min(plan.look_again, until);
    }
    plan.held.push_back(slot);
  };
  for (const Slot& slot : slots) {
    if (quiet || !plan.held.empty()) {
      hold(slot, quiet.value_or(now));
    } else if (caps.day_is_full() && config_.misfire == Misfire::kAll) {
      hold(slot, zone_.first(zone_.date_of(now) + days(1)));
    } else if (caps.day_is_full()) {
      plan.dropped.push_back(
          {.slot = slot,
           .reason = DropReason::kDailyCap,
           .why = fmt::format("{}: the day has its {} posts", slot.local, config_.daily_cap)});
    } else if (caps.hour_is_full()) {
      hold(slot, caps.hour_has_room());
    } else {
      plan.fire.push_back(slot);
      caps.count(now);
    }
  }
  return plan;
}

}  // namespace bobby::bot
