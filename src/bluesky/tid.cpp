#include "bluesky/tid.h"

#include <algorithm>
#include <random>

namespace bobby::bluesky {
namespace {

constexpr std::string_view kDigits = "234567abcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kLength = 13;
constexpr int kBitsOfDigit = 5;
constexpr int kBitsOfClock = 10;
constexpr std::uint32_t kClockMask = (1U << kBitsOfClock) - 1;
constexpr std::uint64_t kLatest = (std::uint64_t{1} << 53) - 1;

}  // namespace

std::string make_tid(std::uint64_t microseconds, std::uint32_t clock_id) {
  const std::uint64_t number = (microseconds << kBitsOfClock) | (clock_id & kClockMask);
  std::string text(kLength, kDigits[0]);
  for (std::size_t i = 0; i < kLength; ++i) {
    const auto shift = kBitsOfDigit * static_cast<int>(kLength - 1 - i);
    text[i] = kDigits[(number >> shift) & 31];
  }
  return text;
}

bool is_tid(std::string_view text) {
  // 13 digits hold 65 bits: the first is one of the lower half, since the topmost bit is none.
  return text.size() == kLength && kDigits.substr(0, 16).find(text[0]) != std::string_view::npos &&
         std::ranges::all_of(text,
                             [](char c) { return kDigits.find(c) != std::string_view::npos; });
}

std::uint64_t tid_microseconds(std::string_view tid) {
  std::uint64_t number = 0;
  for (const char c : tid) number = (number << kBitsOfDigit) | kDigits.find(c);
  return number >> kBitsOfClock;
}

TidClock::TidClock(std::uint32_t clock_id, std::string_view last)
    : clock_id_(clock_id), last_(is_tid(last) ? tid_microseconds(last) : 0) {}

std::string TidClock::next(std::chrono::system_clock::time_point now) {
  const auto since =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  const std::uint64_t time = since > 0 ? static_cast<std::uint64_t>(since) : 0;
  const std::scoped_lock lock(mutex_);
  last_ = std::min(std::max(time, last_ + 1), kLatest);
  return make_tid(last_, clock_id_);
}

std::uint32_t random_clock_id() {
  return std::random_device{}() & kClockMask;
}

}  // namespace bobby::bluesky
