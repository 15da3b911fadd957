#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bobby::detail {

/// What stands at the front of some bytes.
enum class Utf8Front {
  kCodePoint,   ///< a whole, valid code point
  kInvalid,     ///< a maximal subpart of an ill-formed sequence (Unicode 3.9): one U+FFFD
  kIncomplete,  ///< a code point whose last bytes are missing
};
struct Utf8Step {
  Utf8Front front;
  std::size_t length;  ///< bytes, at least 1
};
/// Precondition: `bytes` is not empty.
Utf8Step utf8_front(std::string_view bytes);

/// Appends the text of `bytes` to `out`, each invalid sequence as U+FFFD, and returns how many
/// bytes were read: all of them if `at_end`; otherwise a code point that may still be completed is
/// left.
std::size_t append_valid_utf8(std::string_view bytes, bool at_end, std::string& out);

/// A code point of text that is known to be valid UTF-8.
struct CodePoint {
  char32_t value;
  std::size_t length;
};
inline CodePoint decode_utf8(const char* text) {
  const auto byte = [text](int i) { return static_cast<unsigned char>(text[i]); };
  const auto tail = [&](int i) { return static_cast<char32_t>(byte(i) & 0x3F); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | tail(1), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | tail(1) << 6 | tail(2), 3};
  return {(lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4};
}

/// Appends `value`, a code point that is no surrogate, as UTF-8.
inline void append_utf8(char32_t value, std::string& out) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (value < 0x80) {
    put(value);
    return;
  }
  if (value < 0x800) {
    put(0xC0 | value >> 6);
  } else {
    if (value < 0x10000) {
      put(0xE0 | value >> 12);
    } else {
      put(0xF0 | value >> 18);
      put(0x80 | (value >> 12 & 0x3F));
    }
    put(0x80 | (value >> 6 & 0x3F));
  }
  put(0x80 | (value & 0x3F));
}

}  // namespace bobby::detail
