#include "bot/schedule/cron.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace bobby::bot {
namespace {

std::string problem(std::string_view text) {
  const auto cron = Cron::parse(text);
  return cron ? "" : cron.error().to_string();
}

// "M minutes H hours D days of 2026", as numbers that are set.
std::string summary(std::string_view text) {
  const auto cron = Cron::parse(text);
  if (!cron) return cron.error().to_string();
  int days = 0;
  const std::chrono::local_days first{std::chrono::year(2026) / 1 / 1};
  for (int i = 0; i < 365; ++i)
    days += cron->on(std::chrono::year_month_day(first + std::chrono::days(i))) ? 1 : 0;
  return std::to_string(cron->minutes().count()) + " " + std::to_string(cron->hours().count()) +
         " " + std::to_string(days);
}

TEST(Cron, Table) {
  struct Case {
    std::string_view text;
    std::string_view minutes_hours_days;
  };
  const std::vector<Case> cases = {
      {"* * * * *", "60 24 365"},
      {"0 9 * * *", "1 1 365"},
      {"  5\t4  * * * ", "1 1 365"},
      {"*/15 * * * *", "4 24 365"},
      {"*/7 * * * *", "9 24 365"},
      {"10-20/5 8-18 * * *", "3 11 365"},
      {"0,15,15,45 0 * * *", "3 1 365"},
      {"0 0 * jan-mar *", "1 1 90"},
      {"0 0 * JAN,Dec *", "1 1 62"},
      {"0 0 29 2 *", "1 1 0"},
      {"0 0 31 * *", "1 1 7"},
      {"0 0 * * mon-fri", "1 1 261"},
      {"0 0 * * 1-5", "1 1 261"},
      {"0 0 * * 0", "1 1 52"},
      {"0 0 * * 7", "1 1 52"},
      {"0 0 * * fri-sun", "1 1 156"},
      {"0 0 * * 5-7", "1 1 156"},
      {"0 0 * * */2", "1 1 209"},
      // Either day will do: 12 + 52, of which three (13 February, 13 March, 13 November) are both.
      {"0 0 13 * fri", "1 1 61"},
      // A field that begins with * restricts the other: Mondays of odd days.
      {"0 0 */2 * mon", "1 1 26"},
      {"@hourly", "1 24 365"},
      {"@daily", "1 1 365"},
      {"@Midnight", "1 1 365"},
      {"@weekly", "1 1 52"},
      {"@monthly", "1 1 12"},
      {"@yearly", "1 1 1"},
      {"@annually", "1 1 1"},
  };
  for (const Case& c : cases) EXPECT_EQ(summary(c.text), c.minutes_hours_days) << c.text;
}

TEST(Cron, RefusalsNameTheField) {
  struct Case {
    std::string_view text;
    std::string_view part;  // of the sentence
  };
  const std::vector<Case> cases = {
      {"", "has not five fields"},
      {"* * * *", "has not five fields"},
      {"0 0 9 * * *", "has not five fields"},
      {"60 * * * *", "cron: minute: has a number outside 0 to 59"},
      {"* 24 * * *", "cron: hour: has a number outside 0 to 23"},
      {"* * 0 * *", "cron: day of month: has a number outside 1 to 31"},
      {"* * * 13 *", "cron: month: has a number outside 1 to 12"},
      {"* * * * 8", "cron: day of week: has a number outside 0 to 7"},
      {"* * * mon *", "cron: month: is neither a number, a name nor *"},
      {"-1 * * * *", "cron: minute"},
      {"+1 * * * *", "cron: minute: is neither a number nor *"},
      {"1, * * * *", "cron: minute"},
      {"5/15 * * * *", "write 5-59/15"},
      {"*/0 * * * *", "step"},
      {"*/99999999999 * * * *", "step"},
      {"*/2/2 * * * *", "more than one step"},
      {"20-10 * * * *", "ends before it begins"},
      {"1-2-3 * * * *", "is no range"},
      {"0 0 L * *", "cron: day of month"},
      {"0 0 ? * *", "cron: day of month"},
      {"0 0 * * 5#2", "cron: day of week"},
      {"@reboot", "there is no such name"},
      {"@", "there is no such name"},
  };
  for (const Case& c : cases)
    EXPECT_NE(problem(c.text).find(c.part), std::string::npos) << c.text << ": " << problem(c.text);
  EXPECT_NE(problem(std::string(1000, '*')).find("too long"), std::string::npos);
}

}  // namespace
}  // namespace bobby::bot
