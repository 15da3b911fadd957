#include "data/json_value.h"

#include <charconv>

namespace bobby::data {
namespace {

// The four hex digits at `at`.
std::optional<unsigned> hex_unit(std::string_view text, std::size_t at) {
  if (at + 4 > text.size()) return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + 4, value, 16);
  if (error != std::errc() || end != text.data() + at + 4) return std::nullopt;
  return value;
}

std::optional<unsigned> escaped_unit(std::string_view text, std::size_t at) {
  if (text.substr(at, 2) != "\\u") return std::nullopt;
  return hex_unit(text, at + 2);
}

bool is_high(std::optional<unsigned> unit) {
  return unit && *unit >= 0xD800 && *unit <= 0xDBFF;
}
bool is_low(std::optional<unsigned> unit) {
  return unit && *unit >= 0xDC00 && *unit <= 0xDFFF;
}

// "\ud83d" without its other half becomes "\ufffd".
std::string without_half_pairs(std::string_view text) {
  constexpr std::size_t kEscape = 6;
  std::string out;
  out.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '\\') {
      out += text[at++];
      continue;
    }
    const auto unit = escaped_unit(text, at);
    const bool pair = is_high(unit) && is_low(escaped_unit(text, at + kEscape));
    if (!pair && (is_high(unit) || is_low(unit))) {
      out += "\\ufffd";
      at += kEscape;
      continue;
    }
    const std::size_t length = pair ? 2 * kEscape : 2;
    out += text.substr(at, length);
    at += std::min(length, text.size() - at);
  }
  return out;
}

}  // namespace

Result<simdjson::dom::element> JsonReader::parse(std::string_view text) {
  simdjson::dom::element element;
  auto error = parser_.parse(text.data(), text.size(), false).get(element);
  if (error == simdjson::STRING_ERROR) {
    repaired_ = without_half_pairs(text);
    repaired_.reserve(repaired_.size() + simdjson::SIMDJSON_PADDING);
    error = parser_.parse(repaired_.data(), repaired_.size(), false).get(element);
  }
  if (error == simdjson::UTF8_ERROR)
    return fail({.code = ErrorCode::kMalformed,
                 .problem = "is not UTF-8",
                 .expected = "UTF-8 text",
                 .found = "bytes of another encoding"});
  if (error)
    return fail({.code = ErrorCode::kMalformed,
                 .problem = "is not JSON",
                 .found = simdjson::error_message(error)});
  return element;
}

std::optional<simdjson::dom::element> member(simdjson::dom::element object, std::string_view key) {
  simdjson::dom::element value;
  if (object.at_key(key).get(value) || value.is_null()) return std::nullopt;
  return value;
}

std::string text_of(simdjson::dom::element object, std::string_view key) {
  simdjson::dom::element value;
  if (object.at_key(key).get(value)) return {};
  std::string_view text;
  std::int64_t number = 0;
  if (!value.get(text)) return std::string(text);
  if (!value.get(number)) return std::to_string(number);
  return {};
}

std::int64_t count_of(simdjson::dom::element value) {
  std::int64_t number = 0;
  if (!value.get(number)) return number;
  std::string_view text;
  if (value.get(text)) return -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : -1;
}

}  // namespace bobby::data
