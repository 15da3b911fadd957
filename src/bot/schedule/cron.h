#pragma once

#include <bitset>
#include <chrono>
#include <string_view>

#include "base/result.h"

namespace bobby::bot {

/// A cron expression: "minute hour day-of-month month day-of-week", or @hourly, @daily (@midnight),
/// @weekly, @monthly, @yearly (@annually). Fields are `*`, numbers, ranges `a-b`, steps `*/n` and
/// `a-b/n`, and lists of those; months and weekdays may be names of three letters, Sunday is 0
/// or 7.
class Cron {
 public:
  /// kUsage names the field and what is wrong in it.
  static Result<Cron> parse(std::string_view text);

  /// Vixie cron's rule: where day-of-month and day-of-week both are restricted (neither begins with
  /// `*`), a day that either names will do; else it has to suit both.
  bool on(std::chrono::year_month_day date) const;

  const std::bitset<60>& minutes() const { return minutes_; }
  const std::bitset<24>& hours() const { return hours_; }

 private:
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<7> weekdays_;  // from Sunday
  bool either_day_ = false;
};

}  // namespace bobby::bot
