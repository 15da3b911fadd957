#include "bluesky/token.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace bobby::bluesky {
namespace {

// Base 64 as URLs have it, with or without its end marks; empty for anything else.
std::string decode_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  std::uint32_t held = 0;
  int bits = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return {};
    held = ((held << 6) | static_cast<std::uint32_t>(digit)) & 0xFFFF;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>((held >> bits) & 0xFF);
  }
  return bytes;
}

std::optional<std::chrono::seconds> seconds_of(const nlohmann::json& claims, const char* name) {
  constexpr double kLatest = 1e11;  // some three thousand years on
  const auto found = claims.find(name);
  if (found == claims.end() || !found->is_number()) return std::nullopt;
  const auto value = found->get<double>();
  if (!(value >= 0 && value <= kLatest)) return std::nullopt;
  return std::chrono::seconds(static_cast<std::int64_t>(value));
}

}  // namespace

TokenTimes token_times(std::string_view token) {
  const std::size_t first = token.find('.');
  if (first == std::string_view::npos) return {};
  const std::size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos) return {};
  const auto claims = nlohmann::json::parse(
      decode_base64(token.substr(first + 1, second - first - 1)), nullptr, false);
  if (!claims.is_object()) return {};
  return {.issued = seconds_of(claims, "iat"), .expires = seconds_of(claims, "exp")};
}

}  // namespace bobby::bluesky
