#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bobby::bot {

enum class UnitKind : std::uint8_t { kLetter, kDigit, kApostrophe, kSpace, kSeparator };

/// One folded character of a text (NFKD, case folded, without marks and what is not seen), with
/// what it may stand for. A character may fold to several.
struct Unit {
  char32_t character = 0;
  /// Latin letters that it may be read as: itself, what it looks like, what it stands for in
  /// "leet"; bit 0 is "a".
  std::uint32_t letters = 0;
  UnitKind kind = UnitKind::kSeparator;
  bool plain = false;  ///< a letter, or looks like one
  bool upper = false;  ///< as it stands in the text
  bool lower = false;
  std::size_t begin = 0;  ///< bytes [begin, end) of the text
  std::size_t end = 0;
  std::size_t run = 1;  ///< how many of the same stand here in a row, this one among them
};

/// `letter` as Unit::letters has it; 0 for what is no Latin letter in lower case.
constexpr std::uint32_t letter_bit(char32_t letter) {
  return letter >= U'a' && letter <= U'z' ? std::uint32_t{1} << (letter - U'a') : 0;
}

/// The units of `text`. Invalid UTF-8 reads as U+FFFD.
std::vector<Unit> fold_units(std::string_view text);

}  // namespace bobby::bot
