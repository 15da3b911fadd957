#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bobby::net {

/// "bytes 0-99/1000": which bytes of how many an answer holds.
struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;                ///< inclusive, not before `first`
  std::optional<std::uint64_t> total{};  ///< after `last`; none for "*"
};

/// The value of a Content-Range header; none for what is not well formed.
std::optional<ContentRange> parse_content_range(std::string_view text);

/// Decimal digits and nothing else, up to 2^63 - 1.
std::optional<std::uint64_t> parse_length(std::string_view text);

}  // namespace bobby::net
