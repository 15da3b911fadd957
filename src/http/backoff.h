#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <random>
#include <string>

#include "base/result.h"

namespace bobby::net {

/// Called ten times a second at least while something is waited for; may throw, which ends the wait
/// and passes through.
using Watch = std::function<void()>;

/// How often something is tried, and how long is waited in between.
struct Patience {
  int tries = 5;
  std::chrono::milliseconds first_wait{500};  ///< doubled after each try
  std::chrono::seconds longest_wait{120};     ///< a server that asks for more is given up on
};

/// The waits between the tries of one thing: ever longer, by a share that chance decides, so that
/// many clients do not come back together; or as long as the server asks for.
class Backoff {
 public:
  explicit Backoff(const Patience& patience);

  /// Whether there is another try.
  bool may_try_again() const { return tries_ < patience_.tries; }
  /// Counts a try that failed, and says how long to wait. kBusy when `asked` is longer than the
  /// patience; `where` is who asks.
  Result<std::chrono::milliseconds> next(std::optional<std::chrono::seconds> asked,
                                         const std::string& where);
  /// Something went well: as at the beginning.
  void reset();

 private:
  Patience patience_;
  std::chrono::milliseconds pause_;
  std::minstd_rand random_;
  int tries_ = 1;
};

/// Waits, and calls `watch` meanwhile.
void wait(std::chrono::milliseconds time, const Watch& watch);

}  // namespace bobby::net
