#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace bobby::detail {

/// What the split patterns ask of a code point. A character may be of several classes.
enum CharClass : std::uint8_t {
  kLetter = 1,      ///< \p{L}
  kNumber = 2,      ///< \p{N}
  kSpace = 4,       ///< \s: White_Space
  kNewline = 8,     ///< \r or \n
  kDigitStep = 16,  ///< what the Digits pre-tokenizer takes for a digit
  kWord = 32,       ///< \w, for an added token's single_word
};

/// Classes of every code point, as the Hugging Face library sees them (Unicode 16, and 17 for
/// kDigitStep): utf8proc's categories (Unicode 15 in Debian 12) and what was assigned since.
class CharClasses {
 public:
  /// Built on first use (about a millisecond); safe from any thread.
  static const CharClasses& get();

  std::uint8_t of(char32_t c) const {
    if (c < kAscii) return ascii_[c];
    const std::uint16_t page = pages_[c >> kPageBits];
    return classes_[static_cast<std::size_t>(page) << kPageBits | (c & kPageMask)];
  }

 private:
  CharClasses();

  static constexpr int kPageBits = 8;
  static constexpr char32_t kPageMask = (1 << kPageBits) - 1;
  static constexpr char32_t kAscii = 0x80;
  std::array<std::uint8_t, kAscii> ascii_{};
  std::array<std::uint16_t, (0x110000 >> kPageBits)> pages_{};  ///< page number → where in classes_
  std::vector<std::uint8_t> classes_;  ///< distinct pages, one after another
};

/// An inclusive range of code points.
struct CodePointRange {
  char32_t first;
  char32_t last;
};
/// What Unicode 15 and 16 added to \p{L}, \p{N} and \p{M}: PCRE2 10.42 has Unicode 14.
const std::vector<CodePointRange>& letters_since_unicode_14();
const std::vector<CodePointRange>& numbers_since_unicode_14();
const std::vector<CodePointRange>& marks_since_unicode_14();

}  // namespace bobby::detail
