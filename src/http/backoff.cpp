#include "http/backoff.h"

#include <algorithm>
#include <fmt/format.h>
#include <thread>

namespace bobby::net {

Backoff::Backoff(const Patience& patience)
    : patience_(patience), pause_(patience.first_wait), random_(std::random_device{}()) {}

Result<std::chrono::milliseconds> Backoff::next(std::optional<std::chrono::seconds> asked,
                                                const std::string& where) {
  ++tries_;
  const auto pause = pause_;
  pause_ = std::min<std::chrono::milliseconds>(2 * pause_, patience_.longest_wait);
  if (asked && *asked > patience_.longest_wait)
    return fail({.code = ErrorCode::kBusy,
                 .where = where,
                 .problem = fmt::format("is busy, and asks to be left alone for {} seconds",
                                        asked->count()),
                 .hint = "try again later"});
  if (asked) return *asked;
  std::uniform_real_distribution<double> share(0.5, 1.0);
  return std::chrono::duration_cast<std::chrono::milliseconds>(pause * share(random_));
}

void Backoff::reset() {
  pause_ = patience_.first_wait;
  tries_ = 1;
}

void wait(std::chrono::milliseconds time, const Watch& watch) {
  constexpr std::chrono::milliseconds kPart{50};
  const auto end = std::chrono::steady_clock::now() + time;
  for (auto now = std::chrono::steady_clock::now(); now < end;
       now = std::chrono::steady_clock::now()) {
    if (watch) watch();
    std::this_thread::sleep_for(
        std::min(kPart, std::chrono::ceil<std::chrono::milliseconds>(end - now)));
  }
}

}  // namespace bobby::net
