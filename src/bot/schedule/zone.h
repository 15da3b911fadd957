#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace date {
class time_zone;
}

namespace bobby::bot {

/// A moment, in whole seconds of UTC.
using TimePoint = std::chrono::sys_seconds;
/// What a clock on the wall shows somewhere.
using LocalTime = std::chrono::local_seconds;
using LocalDate = std::chrono::local_days;

/// A time zone of the system's zoneinfo files. Rules that go on without an end are known to the
/// end of 2037, as far as those files list them.
class Zone {
 public:
  /// `name` is IANA's ("Europe/Berlin"), or "local" for this machine's. kNotFound names it;
  /// kUnsupported where the system's files do not list the changes between summer and winter.
  static Result<Zone> find(std::string_view name);

  /// IANA's name, also for "local".
  const std::string& name() const { return name_; }

  LocalTime to_local(TimePoint time) const;
  LocalDate date_of(TimePoint time) const {
    return std::chrono::floor<std::chrono::days>(to_local(time));
  }
  /// The moment when clocks show `time`. One that they skip becomes the first moment after the
  /// gap; one that they show twice, the first of the two.
  TimePoint first(LocalTime time) const;
  /// As first(), but the second of two.
  TimePoint last(LocalTime time) const;

 private:
  Zone(const date::time_zone* zone, std::string name) : zone_(zone), name_(std::move(name)) {}

  const date::time_zone* zone_;
  std::string name_;
};

/// "2026-03-29 03:00", with ":30" behind it where the second is not 0.
std::string to_text(LocalTime time);

}  // namespace bobby::bot
