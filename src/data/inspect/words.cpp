#include "data/inspect/words.h"

#include <algorithm>
#include <fmt/format.h>

#include "voice/graphemes.h"
#include "voice/utf8.h"

namespace bobby::inspection {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool turns_direction(char32_t c) {
  return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x200E || c == 0x200F;
}

// U+2400 and what follows picture the control characters.
std::string picture(char32_t control) {
  const char last = static_cast<char>(0x80 + (control == 0x7F ? 0x21 : static_cast<int>(control)));
  return std::string("\xE2\x90") + last;
}

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string digits = fmt::format("{}", number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string grouped(std::int64_t number) {
  const auto size = static_cast<std::uint64_t>(number);
  return number < 0 ? "-" + grouped(0 - size) : grouped(size);
}

std::string count_of(std::int64_t count, std::string_view one) {
  return fmt::format("{} {}{}", grouped(count), one, count == 1 ? "" : "s");
}

std::string percent(double part, double whole) {
  if (whole <= 0 || part <= 0) return "0%";
  const double share = 100.0 * part / whole;
  if (share < 0.1) return "under 0.1%";
  if (share < 9.95) return fmt::format("{:.1f}%", share);
  return share > 99.0 && share < 100.0 ? fmt::format("{:.1f}%", std::min(share, 99.9))
                                       : fmt::format("{:.0f}%", share);
}

std::string bytes_text(std::uint64_t bytes) {
  const auto number = static_cast<double>(bytes);
  if (bytes < 1000) return fmt::format("{} bytes", bytes);
  if (bytes < 1000000) return fmt::format("{:.1f} KB", number * 1e-3);
  return fmt::format("{:.1f} MB", number * 1e-6);
}

std::string shortened(std::string_view text, std::int64_t most) {
  if (static_cast<std::int64_t>(text.size()) <= most) return std::string(text);
  std::int64_t count = 0;
  std::size_t end = 0;
  for (const std::string_view cluster : split_graphemes(text)) {
    if (++count > most) return std::string(text.substr(0, end)) + "…";
    end += cluster.size();
  }
  return std::string(text);
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    const std::string_view bytes = text.substr(at, point.length);
    at += point.length;
    if (point.value == '\n')
      out += "↵";
    else if (point.value < 0x20 || point.value == 0x7F)
      out += picture(point.value);
    else if ((point.value >= 0x80 && point.value < 0xA0) || turns_direction(point.value) ||
             point.value == 0x2028 || point.value == 0x2029 || point.value == 0xFFFD)
      out += kReplacement;
    else
      out += bytes;
  }
  return out;
}

}  // namespace bobby::inspection
