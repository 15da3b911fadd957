#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bobby::inspection {

/// "1 record", "12 records", "1,204 records"
std::string count_of(std::int64_t count, std::string_view one);
/// "1,204,000"
std::string grouped(std::int64_t number);
std::string grouped(std::uint64_t number);
/// "31%", "4.2%", "under 0.1%", "0%"; `whole` 0 is "0%"
std::string percent(double part, double whole);
/// Bytes as "312 bytes", "48.2 KB", "3.1 MB"
std::string bytes_text(std::uint64_t bytes);

/// `text` up to `most` graphemes, with "…" after what is left out.
std::string shortened(std::string_view text, std::int64_t most);

/// `text` for a terminal's line: valid UTF-8, each control character and each mark that turns the
/// direction of writing replaced by a visible sign, line ends by "↵".
std::string printable(std::string_view text);

}  // namespace bobby::inspection
