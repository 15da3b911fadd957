#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bobby {

/// A code point of a text and the bytes it takes; U+FFFD stands for an invalid sequence.
struct CodePoint {
  char32_t value = 0;
  std::size_t length = 1;
};

/// The code point at byte `at` < text.size(). An invalid sequence is as long as its longest part
/// that could have begun a code point (Unicode 15, section 3.9, "maximal subpart").
CodePoint decode_utf8(std::string_view text, std::size_t at);

/// The code point that ends right before byte `end` > 0 of valid UTF-8.
CodePoint decode_utf8_before(std::string_view text, std::size_t end);

/// `text` with each invalid sequence replaced by U+FFFD.
std::string repair_utf8(std::string_view text);

}  // namespace bobby
