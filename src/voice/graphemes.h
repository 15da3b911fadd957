#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bobby {

/// Number of extended grapheme clusters of `text` (UAX #29): what a reader calls characters, and
/// what Bluesky counts. Each invalid UTF-8 sequence counts as U+FFFD.
std::int64_t count_graphemes(std::string_view text);

/// The clusters of `text`, in order; together they are `text`, byte for byte.
std::vector<std::string_view> split_graphemes(std::string_view text);

/// The Unicode version of the tables behind these functions, e.g. "15.0.0". Since 15.1 the
/// standard also keeps Indic conjuncts together (GB9c); older tables count them apart.
std::string_view grapheme_unicode_version();

}  // namespace bobby
