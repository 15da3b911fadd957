#include "server/http/target.h"

#include <fmt/format.h>
#include <optional>
#include <utility>

#include "voice/utf8.h"

namespace bobby::http {
namespace {

tl::unexpected<Error> malformed(std::string problem) {
  return fail({.code = ErrorCode::kMalformed, .problem = std::move(problem)});
}

std::optional<int> hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return std::nullopt;
}

Result<std::string> percent_decoded(std::string_view text, bool plus_is_space) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char byte = text[i];
    if (byte == '%') {
      const auto high = i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
      const auto low = i + 2 < text.size() ? hex_digit(text[i + 2]) : std::nullopt;
      if (!high || !low) return malformed("the request target has a '%' without two hex digits");
      byte = static_cast<char>(*high * 16 + *low);
      i += 2;
    } else if (byte == '+' && plus_is_space) {
      byte = ' ';
    }
    decoded += byte;
  }
  if (repair_utf8(decoded) != decoded) return malformed("the request target is not UTF-8");
  return decoded;
}

bool has_control(std::string_view text) {
  for (const char byte : text)
    if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7F) return true;
  return false;
}

Result<std::string> segment_of(std::string_view raw) {
  Result<std::string> decoded = percent_decoded(raw, false);
  if (!decoded) return decoded;
  const std::string_view segment = *decoded;
  if (segment == "." || segment == "..")
    return malformed("the request path has a segment '.' or '..'");
  if (segment.find_first_of("/\\") != std::string_view::npos)
    return malformed("the request path has an escaped slash or a backslash");
  if (has_control(segment)) return malformed("the request path has a control character");
  return decoded;
}

Result<void> add_parameter(std::string_view raw, Target& target) {
  if (raw.empty()) return {};
  const std::size_t equals = raw.find('=');
  BOBBY_TRY(std::string name, percent_decoded(raw.substr(0, equals), true));
  std::string value;
  if (equals != std::string_view::npos) {
    BOBBY_TRY(value, percent_decoded(raw.substr(equals + 1), true));
  }
  if (!target.query.emplace(name, std::move(value)).second)
    return malformed(fmt::format("the query names '{}' twice", name));
  return {};
}

// Calls use(part) -> Result<void> for what stands between separators.
template <typename Use>
Result<void> each_part(std::string_view text, char separator, const Use& use) {
  for (;;) {
    const std::size_t end = text.find(separator);
    BOBBY_CHECK(use(text.substr(0, end)));
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
}

}  // namespace

Result<Target> parse_target(std::string_view target) {
  if (!target.starts_with('/')) return malformed("the request target does not begin with '/'");
  if (target.find('#') != std::string_view::npos)
    return malformed("the request target has a fragment");
  const std::size_t question = target.find('?');
  Target parsed;
  const auto add_segment = [&parsed](std::string_view raw) -> Result<void> {
    BOBBY_TRY(std::string segment, segment_of(raw));
    parsed.path += "/" + segment;
    parsed.segments.push_back(std::move(segment));
    return {};
  };
  BOBBY_CHECK(each_part(target.substr(1, question - 1), '/', add_segment));
  if (question != std::string_view::npos) {
    const auto add = [&parsed](std::string_view raw) { return add_parameter(raw, parsed); };
    BOBBY_CHECK(each_part(target.substr(question + 1), '&', add));
  }
  return parsed;
}

}  // namespace bobby::http
