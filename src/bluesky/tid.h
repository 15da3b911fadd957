#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace bobby::bluesky {

/// A timestamp identifier, the key of a post's record: 53 bits of microseconds since 1970 and 10
/// bits that tell clocks apart, as 13 digits of base 32 that sort as the numbers do.
/// Precondition: `microseconds` < 2^53, `clock_id` < 1024.
std::string make_tid(std::uint64_t microseconds, std::uint32_t clock_id);

bool is_tid(std::string_view text);

/// The time that a TID holds, in microseconds since 1970. Precondition: is_tid(tid).
std::uint64_t tid_microseconds(std::string_view tid);

/// Gives identifiers that grow, also when the machine's clock is set back. May be shared by
/// threads.
class TidClock {
 public:
  /// `clock_id` (ten bits of it) tells this clock from others that name records of one account:
  /// random_clock_id(). `last` is the newest identifier given so far, by an earlier run; empty:
  /// none.
  explicit TidClock(std::uint32_t clock_id, std::string_view last = {});

  std::string next(std::chrono::system_clock::time_point now);

 private:
  std::mutex mutex_;
  std::uint32_t clock_id_;
  std::uint64_t last_ = 0;  // microseconds
};

std::uint32_t random_clock_id();

}  // namespace bobby::bluesky
