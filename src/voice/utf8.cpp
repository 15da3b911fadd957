#include "voice/utf8.h"

#include <cstdint>

namespace bobby {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

/// What a lead byte asks for: how many continuation bytes, and the range of the first of them
/// (narrower than 80..BF where that would be overlong, a surrogate or past U+10FFFF).
struct Lead {
  int continuations = -1;  // -1: not a lead byte
  std::uint8_t first_low = 0x80;
  std::uint8_t first_high = 0xBF;
};

Lead lead_of(std::uint8_t byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {1};
  if (byte >= 0xE0 && byte <= 0xEF)
    return {2, static_cast<std::uint8_t>(byte == 0xE0 ? 0xA0 : 0x80),
            static_cast<std::uint8_t>(byte == 0xED ? 0x9F : 0xBF)};
  if (byte >= 0xF0 && byte <= 0xF4)
    return {3, static_cast<std::uint8_t>(byte == 0xF0 ? 0x90 : 0x80),
            static_cast<std::uint8_t>(byte == 0xF4 ? 0x8F : 0xBF)};
  return {};
}

}  // namespace

CodePoint decode_utf8(std::string_view text, std::size_t at) {
  const auto byte = static_cast<std::uint8_t>(text[at]);
  if (byte < 0x80) return {byte, 1};
  const Lead lead = lead_of(byte);
  if (lead.continuations < 0) return {kReplacement, 1};
  char32_t value = byte & (0x3F >> lead.continuations);
  for (int i = 1; i <= lead.continuations; ++i) {
    const std::size_t index = at + static_cast<std::size_t>(i);
    if (index >= text.size()) return {kReplacement, static_cast<std::size_t>(i)};
    const auto next = static_cast<std::uint8_t>(text[index]);
    const std::uint8_t low = i == 1 ? lead.first_low : 0x80;
    const std::uint8_t high = i == 1 ? lead.first_high : 0xBF;
    if (next < low || next > high) return {kReplacement, static_cast<std::size_t>(i)};
    value = value << 6 | (next & 0x3F);
  }
  return {value, static_cast<std::size_t>(lead.continuations) + 1};
}

CodePoint decode_utf8_before(std::string_view text, std::size_t end) {
  std::size_t at = end - 1;
  while (at > 0 && (static_cast<std::uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return decode_utf8(text, at);
}

std::string repair_utf8(std::string_view text) {
  std::string repaired;
  repaired.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    if (point.value == kReplacement)
      repaired += "\xEF\xBF\xBD";
    else
      repaired += text.substr(at, point.length);
    at += point.length;
  }
  return repaired;
}

}  // namespace bobby
