#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby::bluesky {

using TimePoint = std::chrono::system_clock::time_point;

/// What a request costs, in the words of Bluesky's limits.
enum class Spending : std::uint8_t { kRead, kCreate, kUpdate, kDelete, kLogin };

/// What an answer's headers say of a limit.
struct ServerLimit {
  std::optional<std::int64_t> remaining = {};     ///< ratelimit-remaining
  std::optional<TimePoint> reset = {};            ///< ratelimit-reset
  std::optional<std::chrono::seconds> wait = {};  ///< Retry-After, or until the reset, with a 429
};

/// How much an account may still ask of its server: what Bluesky documents (5,000 points an hour
/// and 35,000 a day; a record made costs 3, changed 2, removed 1), far fewer logins than it allows,
/// and what the server's own answers said. A value: who keeps it on a disk sees to that.
class RateBudget {
 public:
  /// The earliest time, `now` or later, at which `count` requests of the kind may be sent. A clock
  /// that was set back makes nobody wait longer than the limit's own time.
  TimePoint earliest(Spending what, TimePoint now, std::int64_t count = 1) const;
  void spend(Spending what, TimePoint now, std::int64_t count = 1);
  /// `refused`: the answer was 429.
  void learn(Spending what, const ServerLimit& limit, bool refused, TimePoint now);

  /// Points left in the hour and in the day.
  std::int64_t left_in_hour(TimePoint now) const;
  std::int64_t left_in_day(TimePoint now) const;

  std::string to_json() const;
  /// kMalformed.
  static Result<RateBudget> from_json(std::string_view text);

 private:
  struct Spent {
    TimePoint time;  // of a minute's beginning
    std::int64_t amount = 0;
  };
  using Log = std::vector<Spent>;

  static std::int64_t sum(const Log& log, TimePoint now, std::chrono::seconds window);
  static TimePoint room(const Log& log, TimePoint now, std::chrono::seconds window,
                        std::int64_t allowed);
  static void add(Log& log, TimePoint now, std::int64_t amount);
  Log& log_of(Spending what);

  Log writes_;
  Log logins_;
  std::map<std::string, TimePoint> blocked_;  // by the kind of request: until when
};

}  // namespace bobby::bluesky
