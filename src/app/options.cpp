#include "app/options.h"

#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <optional>

#include "base/decimal.h"

namespace bobby {
namespace {

using enum OptionKind;
using enum OptionScope;

constexpr double kNone = std::numeric_limits<double>::lowest();
constexpr double kAny = std::numeric_limits<double>::max();

std::string number_text(double value) {
  return fmt::format("{}", value);
}

std::string range_text(const OptionSpec& spec, std::string_view noun) {
  if (spec.min == kNone && spec.max == kAny) return std::string(noun);
  return fmt::format("{} from {} to {}", noun, number_text(spec.min), number_text(spec.max));
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_number(std::string_view text) {
  const std::optional<double> value = parse_double(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

tl::unexpected<Error> not_a_value(std::string expected, std::string_view text) {
  return fail({.code = ErrorCode::kUsage,
               .problem = "is not a value that can be used",
               .expected = std::move(expected),
               .found = fmt::format("\"{}\"", text)});
}

bool integer_in_range(const OptionSpec& spec, std::string_view text) {
  const auto value = parse_integer(text);
  return value && static_cast<double>(*value) >= spec.min &&
         static_cast<double>(*value) <= spec.max;
}

bool integers_in_range(const OptionSpec& spec, std::string_view text) {
  for (;;) {
    const auto comma = text.find(',');
    if (!integer_in_range(spec, text.substr(0, comma))) return false;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::string OptionSpec::environment_name() const {
  if (scope == kFlagOnly) return {};
  if (!environment.empty()) return std::string(environment);
  std::string text = "BOBBY_" + config_key();
  for (char& c : text)
    if (c == '.')
      c = '_';
    else if (c >= 'a' && c <= 'z')
      c = static_cast<char>(c - 'a' + 'A');
  return text;
}

std::string OptionSpec::config_key() const {
  if (scope == kFlagOnly) return {};
  std::string text(key.empty() ? name : key);
  for (char& c : text)
    if (c == '-') c = '_';
  return table.empty() ? text : fmt::format("{}.{}", table, text);
}

Result<void> check_value(const OptionSpec& spec, std::string_view text) {
  switch (spec.kind) {
    case kFlag:
      if (text != "true" && text != "false" && text != "1" && text != "0")
        return not_a_value("true or false", text);
      return {};
    case kInteger:
      if (!integer_in_range(spec, text))
        return not_a_value(range_text(spec, "a whole number"), text);
      return {};
    case kNumber: {
      const auto value = parse_number(text);
      if (!value || *value < spec.min || *value > spec.max)
        return not_a_value(range_text(spec, "a number"), text);
      return {};
    }
    case kIntegerList:
      if (!integers_in_range(spec, text))
        return not_a_value(range_text(spec, "whole numbers") + ", with commas between", text);
      return {};
    case kChoice:
      for (const std::string_view choice : spec.choices)
        if (text == choice) return {};
      return not_a_value("one of " + fmt::format("{}", fmt::join(spec.choices, ", ")), text);
    case kText:
    case kTextList:
      if (text.empty()) return not_a_value("a text", text);
      return {};
  }
  return {};
}

bool flag_value(std::string_view text) {
  return text == "true" || text == "1";
}

std::int64_t integer_value(std::string_view text) {
  return parse_integer(text).value_or(0);
}

double number_value(std::string_view text) {
  return parse_number(text).value_or(0.0);
}

}  // namespace bobby
