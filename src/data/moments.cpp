#include "data/moments.h"

#include <array>
#include <chrono>

namespace bobby::data {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// A text that is read from its beginning; what does not fit makes it bad.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  int digits(std::size_t count) {
    int value = 0;
    if (rest_.size() < count) return bad();
    for (const char c : rest_.substr(0, count)) {
      if (c < '0' || c > '9') return bad();
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }
  void expect(char c) {
    if (!take(c)) bad();
  }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view part(std::size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  void skip_digits() {
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') rest_.remove_prefix(1);
  }
  /// "+0200", "+02:00" or "-0330" in seconds.
  int zone() {
    const bool west = take('-');
    if (!west) expect('+');
    const int hours = digits(2);
    take(':');
    const int seconds = (hours * 60 + digits(2)) * 60;
    return west ? -seconds : seconds;
  }
  bool ended() const { return good_ && rest_.empty(); }

 private:
  int bad() {
    good_ = false;
    rest_ = {};
    return 0;
  }

  std::string_view rest_;
  bool good_ = true;
};

struct Moment {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, zone = 0;
};

std::optional<std::int64_t> seconds_of(const Moment& moment) {
  const std::chrono::year_month_day date(std::chrono::year(moment.year),
                                         std::chrono::month(static_cast<unsigned>(moment.month)),
                                         std::chrono::day(static_cast<unsigned>(moment.day)));
  if (!date.ok() || moment.hour > 23 || moment.minute > 59 || moment.second > 60)
    return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((std::int64_t{days} * 24 + moment.hour) * 60 + moment.minute) * 60 + moment.second -
         moment.zone;
}

}  // namespace

std::optional<std::int64_t> parse_tweet_time(std::string_view text) {
  Cursor cursor(text);
  Moment moment;
  cursor.part(3);  // the day of the week
  cursor.expect(' ');
  const std::string_view month = cursor.part(3);
  for (std::size_t i = 0; i < kMonths.size(); ++i)
    if (kMonths[i] == month) moment.month = static_cast<int>(i) + 1;
  cursor.expect(' ');
  moment.day = cursor.digits(2);
  cursor.expect(' ');
  moment.hour = cursor.digits(2);
  cursor.expect(':');
  moment.minute = cursor.digits(2);
  cursor.expect(':');
  moment.second = cursor.digits(2);
  cursor.expect(' ');
  moment.zone = cursor.zone();
  cursor.expect(' ');
  moment.year = cursor.digits(4);
  return cursor.ended() ? seconds_of(moment) : std::nullopt;
}

std::optional<std::int64_t> parse_iso_time(std::string_view text) {
  Cursor cursor(text);
  Moment moment;
  moment.year = cursor.digits(4);
  cursor.expect('-');
  moment.month = cursor.digits(2);
  cursor.expect('-');
  moment.day = cursor.digits(2);
  cursor.expect('T');
  moment.hour = cursor.digits(2);
  cursor.expect(':');
  moment.minute = cursor.digits(2);
  cursor.expect(':');
  moment.second = cursor.digits(2);
  if (cursor.take('.')) cursor.skip_digits();
  if (!cursor.take('Z') && !cursor.ended()) moment.zone = cursor.zone();
  return cursor.ended() ? seconds_of(moment) : std::nullopt;
}

}  // namespace bobby::data
