#pragma once

#include <string>
#include <string_view>

namespace bobby::detail {

/// Unicode normalization form C, as the Hugging Face library computes it: with the tables of
/// Unicode 9, for which later combining marks are plain characters (they are neither reordered nor
/// composed). `text` is valid UTF-8; the answer is `text` itself or lies in `storage`.
std::string_view normalize_nfc(std::string_view text, std::string& storage);

}  // namespace bobby::detail
