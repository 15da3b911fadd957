#include "training/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/decimal.h"

namespace bobby {
namespace {

constexpr std::array<std::string_view, 9> kTrue = {"yes",  "Yes", "YES", "true", "True",
                                                   "TRUE", "on",  "On",  "ON"};
constexpr std::array<std::string_view, 9> kFalse = {"no",    "No",  "NO",  "false", "False",
                                                    "FALSE", "off", "Off", "OFF"};
constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};

template <std::size_t N>
bool one_of(const std::array<std::string_view, N>& words, std::string_view text) {
  return std::ranges::find(words, text) != words.end();
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// [0-9][0-9_]* from `at`; returns its end, or `at` when there is none.
std::size_t digits_end(std::string_view text, std::size_t at) {
  if (at >= text.size() || !is_digit(text[at])) return at;
  while (at < text.size() && (is_digit(text[at]) || text[at] == '_')) ++at;
  return at;
}

std::string without_underscores(std::string_view text) {
  std::string digits(text);
  std::erase(digits, '_');
  return digits;
}

std::optional<YamlScalar> integer_of(std::string_view text) {
  const bool negative = text.starts_with('-');
  std::string_view body = text.substr(negative || text.starts_with('+') ? 1 : 0);
  int base = 10;
  if (body.starts_with("0x") || body.starts_with("0b")) {
    base = body[1] == 'x' ? 16 : 2;
    body.remove_prefix(2);
  } else if (body.size() > 1 && body[0] == '0') {
    base = 8;
  }
  if (body.empty() || body[0] == '_') return std::nullopt;
  const std::string digits = without_underscores(body);
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (parsed.ptr != digits.data() + digits.size()) return std::nullopt;
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (parsed.ec != std::errc() || value > kMost)
    return negative ? -std::numeric_limits<double>::max() : std::numeric_limits<double>::max();
  return negative ? -static_cast<std::int64_t>(value) : static_cast<std::int64_t>(value);
}

std::optional<double> special_number(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::string_view body = text.substr(negative || text.starts_with('+') ? 1 : 0);
  if (body == ".inf" || body == ".Inf" || body == ".INF")
    return negative ? -std::numeric_limits<double>::infinity()
                    : std::numeric_limits<double>::infinity();
  if (text == ".nan" || text == ".NaN" || text == ".NAN")
    return std::numeric_limits<double>::quiet_NaN();
  return std::nullopt;
}

// 1.5, 1., .5, 1e-5, 1.5e3: a point or an exponent makes a number. One that begins with its point
// has no sign, and its exponent needs one: so the expression that mlx-lm reads by.
std::optional<double> number_of(std::string_view text) {
  if (const auto special = special_number(text)) return special;
  const std::size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  std::size_t at = digits_end(text, sign);
  const bool whole = at != sign;
  const bool point = at < text.size() && text[at] == '.';
  if (!whole && (sign == 1 || !point || text.size() == 1)) return std::nullopt;
  if (point) ++at;
  while (point && at < text.size() && (is_digit(text[at]) || text[at] == '_')) ++at;
  const bool exponent = at < text.size() && (text[at] == 'e' || text[at] == 'E');
  if (exponent) {
    ++at;
    const bool signed_exponent = at < text.size() && (text[at] == '-' || text[at] == '+');
    if (!whole && !signed_exponent) return std::nullopt;
    if (signed_exponent) ++at;
    const std::size_t end = digits_end(text, at);
    if (end == at) return std::nullopt;
    at = end;
  }
  if (at != text.size() || !(point || exponent)) return std::nullopt;
  std::string digits = without_underscores(text);
  if (digits.starts_with('+')) digits.erase(0, 1);
  return parse_double(digits);
}

}  // namespace

YamlScalar yaml_scalar(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return std::monostate();
  const std::string& text = node.Scalar();
  if (node.Tag() == "!" || node.Tag() == "tag:yaml.org,2002:str") return text;
  if (one_of(kNull, text)) return std::monostate();
  if (one_of(kTrue, text)) return true;
  if (one_of(kFalse, text)) return false;
  if (auto integer = integer_of(text)) return *std::move(integer);
  if (const auto number = number_of(text)) return *number;
  return text;
}

std::string yaml_excerpt(const YAML::Node& node) {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  const YamlScalar value = yaml_scalar(node);
  if (std::holds_alternative<std::monostate>(value)) return "nothing";
  std::string text = node.Scalar();
  if (text.size() > 60) {
    std::size_t cut = 57;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
    text = text.substr(0, cut) + "...";
  }
  return std::holds_alternative<std::string>(value) ? fmt::format("the text '{}'", text) : text;
}

}  // namespace bobby
