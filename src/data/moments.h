#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bobby::data {

/// Seconds since 1970 of "Wed Oct 10 20:19:24 +0000 2018", as tweets have it.
std::optional<std::int64_t> parse_tweet_time(std::string_view text);

/// Seconds since 1970 of an ISO 8601 moment: "2018-10-10T20:19:24.123Z", or with "+02:00". Parts of
/// a second are cut off; without a zone it is UTC.
std::optional<std::int64_t> parse_iso_time(std::string_view text);

}  // namespace bobby::data
