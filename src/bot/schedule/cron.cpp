#include "bot/schedule/cron.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bobby::bot {
namespace {

constexpr std::size_t kLongest = 512;  // bytes of an expression
constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdays = {"sun", "mon", "tue", "wed",
                                                       "thu", "fri", "sat"};

struct Field {
  std::string_view name;
  int least;
  int most;
  std::span<const std::string_view> names = {};  // the first stands for `least`
  bool is_weekday() const { return names.size() == kWeekdays.size(); }
};
constexpr std::array<Field, 5> kFields = {{{"minute", 0, 59},
                                           {"hour", 0, 23},
                                           {"day of month", 1, 31},
                                           {"month", 1, 12, kMonths},
                                           {"day of week", 0, 7, kWeekdays}}};

struct Macro {
  std::string_view name;
  std::string_view meaning;
};
constexpr std::array<Macro, 7> kMacros = {{{"@hourly", "0 * * * *"},
                                           {"@daily", "0 0 * * *"},
                                           {"@midnight", "0 0 * * *"},
                                           {"@weekly", "0 0 * * 0"},
                                           {"@monthly", "0 0 1 * *"},
                                           {"@yearly", "0 0 1 1 *"},
                                           {"@annually", "0 0 1 1 *"}}};

std::vector<std::string_view> split(std::string_view text, std::string_view separators,
                                    bool keep_empty) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
    if (keep_empty || end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::string lower(std::string_view text) {
  std::string made(text);
  for (char& c : made)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return made;
}

tl::unexpected<Error> wrong(const Field& field, std::string problem, std::string_view found,
                            std::string hint = "") {
  return fail({.code = ErrorCode::kUsage,
               .where = fmt::format("cron: {}", field.name),
               .problem = std::move(problem),
               .found = fmt::format("\"{}\"", found),
               .hint = std::move(hint)});
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool digits = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (text.empty() || !digits || error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

Result<int> value_of(std::string_view text, const Field& field, std::string_view whole) {
  const auto named = std::ranges::find(field.names, lower(text));
  if (named != field.names.end())
    return field.least + static_cast<int>(named - field.names.begin());
  const auto value = number(text);
  if (!value)
    return wrong(field,
                 fmt::format("is neither a number{} nor *", field.names.empty() ? "" : ", a name"),
                 whole);
  if (*value < field.least || *value > field.most)
    return wrong(field, fmt::format("has a number outside {} to {}", field.least, field.most),
                 whole);
  return *value;
}

// One member of a list: *, a, a-b, with /n behind all but a single number.
Result<void> add_item(std::string_view item, const Field& field, std::vector<bool>& chosen) {
  const std::vector<std::string_view> parts = split(item, "/", true);
  int step = 1;
  if (parts.size() > 2) return wrong(field, "has more than one step", item);
  if (parts.size() == 2) {
    const auto value = number(parts[1]);
    if (!value || *value == 0 || *value > field.most)
      return wrong(field, fmt::format("has a step that is no number from 1 to {}", field.most),
                   item);
    step = *value;
  }
  int begin = field.least;
  int end = field.is_weekday() ? 6 : field.most;
  if (parts[0] != "*") {
    const std::vector<std::string_view> ends = split(parts[0], "-", true);
    if (ends.size() > 2) return wrong(field, "is no range", item);
    BOBBY_TRY(begin, value_of(ends[0], field, item));
    if (ends.size() == 1 && parts.size() == 2)
      return wrong(field, "has a step behind a single number", item,
                   fmt::format("write {}-{}/{}", ends[0], end, parts[1]));
    end = begin;
    if (ends.size() == 2) {
      BOBBY_TRY(end, value_of(ends[1], field, item));
      if (field.is_weekday() && end == 0 && begin > 0) end = 7;  // a week ends with its Sunday
    }
    if (end < begin) return wrong(field, "has a range that ends before it begins", item);
  }
  for (int value = begin; value <= end; value += step)
    chosen[static_cast<std::size_t>(value)] = true;
  return {};
}

Result<std::vector<bool>> parse_field(std::string_view text, const Field& field) {
  std::vector<bool> chosen(61);
  for (const std::string_view item : split(text, ",", true))
    BOBBY_CHECK(add_item(item, field, chosen));
  return chosen;
}

template <std::size_t kSize>
std::bitset<kSize> bits(const std::vector<bool>& chosen) {
  std::bitset<kSize> made;
  for (std::size_t i = 0; i < kSize; ++i) made[i] = chosen[i];
  return made;
}

}  // namespace

Result<Cron> Cron::parse(std::string_view text) {
  if (text.size() > kLongest)
    return fail({.code = ErrorCode::kUsage,
                 .where = "cron",
                 .problem = "is too long",
                 .expected = fmt::format("at most {} bytes", kLongest),
                 .found = fmt::format("{}", text.size())});
  constexpr std::string_view kSpace = " \t";
  std::vector<std::string_view> fields = split(text, kSpace, false);
  if (fields.size() == 1 && fields[0].starts_with('@')) {
    const auto macro = std::ranges::find(kMacros, lower(fields[0]), &Macro::name);
    if (macro == kMacros.end())
      return fail({.code = ErrorCode::kUsage,
                   .where = "cron",
                   .problem = "there is no such name",
                   .expected = "@hourly, @daily, @weekly, @monthly or @yearly",
                   .found = std::string(fields[0])});
    fields = split(macro->meaning, kSpace, false);
  }
  if (fields.size() != kFields.size())
    return fail({.code = ErrorCode::kUsage,
                 .where = "cron",
                 .problem = "has not five fields",
                 .expected = "\"minute hour day-of-month month day-of-week\"",
                 .found = fmt::format("\"{}\"", text)});
  std::array<std::vector<bool>, 5> chosen;
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    BOBBY_TRY(chosen[i], parse_field(fields[i], kFields[i]));
  }
  Cron cron;
  cron.minutes_ = bits<60>(chosen[0]);
  cron.hours_ = bits<24>(chosen[1]);
  cron.days_ = bits<32>(chosen[2]);
  cron.months_ = bits<13>(chosen[3]);
  cron.weekdays_ = bits<7>(chosen[4]);
  if (chosen[4][7]) cron.weekdays_[0] = true;
  cron.either_day_ = !fields[2].starts_with('*') && !fields[4].starts_with('*');
  return cron;
}

bool Cron::on(std::chrono::year_month_day date) const {
  if (!months_[static_cast<unsigned>(date.month())]) return false;
  const bool day = days_[static_cast<unsigned>(date.day())];
  const bool weekday = weekdays_[std::chrono::weekday(std::chrono::local_days(date)).c_encoding()];
  return either_day_ ? day || weekday : day && weekday;
}

}  // namespace bobby::bot
