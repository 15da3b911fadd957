#include "bot/folded_units.h"

#include <algorithm>
#include <array>
#include <utf8proc.h>

#include "bot/confusables.h"
#include "voice/utf8.h"

namespace bobby::bot {
namespace {

// The longest folding of one character in Unicode 15 is 18 (U+FDFA).
constexpr std::size_t kMostParts = 32;

constexpr auto kFold =
    static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
                                   UTF8PROC_STRIPMARK | UTF8PROC_IGNORE);

utf8proc_int32_t raw(char32_t c) {
  return static_cast<utf8proc_int32_t>(c);
}

bool is_apostrophe(char32_t c) {
  return c == U'\'' || c == 0x2019 || c == 0x02BC || c == 0xFF07;
}

UnitKind kind_of(char32_t c) {
  if (is_apostrophe(c)) return UnitKind::kApostrophe;
  const utf8proc_category_t of = utf8proc_category(raw(c));
  if (of >= UTF8PROC_CATEGORY_LU && of <= UTF8PROC_CATEGORY_LO) return UnitKind::kLetter;
  if (of >= UTF8PROC_CATEGORY_ND && of <= UTF8PROC_CATEGORY_NO) return UnitKind::kDigit;
  const bool space = of >= UTF8PROC_CATEGORY_ZS && of <= UTF8PROC_CATEGORY_ZP;
  return space || (c >= U'\t' && c <= U'\r') ? UnitKind::kSpace : UnitKind::kSeparator;
}

// Signs and digits that stand for letters.
std::string_view leet(char32_t c) {
  switch (c) {
    case U'0': return "o";
    case U'1': return "il";
    case U'2': return "z";
    case U'3': return "e";
    case U'4': return "a";
    case U'5': return "s";
    case U'6': return "bg";
    case U'7': return "t";
    case U'8': return "b";
    case U'9': return "g";
    case U'@': return "a";
    case U'$': return "s";
    case U'!': return "i";
    case U'|': return "il";
    case U'+': return "t";
    case U'(': return "c";
    case U'<': return "c";
    case 0x00A1: return "i";  // inverted exclamation mark
    case 0x00A7: return "s";  // section sign
    case 0x20AC: return "e";  // euro sign
    default: return "";
  }
}

std::uint32_t bits_of(std::string_view letters) {
  std::uint32_t bits = 0;
  for (const char c : letters) bits |= letter_bit(static_cast<unsigned char>(c));
  return bits;
}

// A capital I between small letters may be an l.
void read_capitals_i(std::vector<Unit>& units, std::string_view text) {
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (text[units[i].begin] != 'I') continue;
    if ((i > 0 && units[i - 1].lower) || (i + 1 < units.size() && units[i + 1].lower))
      units[i].letters |= letter_bit(U'l');
  }
}

void count_runs(std::vector<Unit>& units) {
  for (std::size_t begin = 0; begin < units.size();) {
    std::size_t end = begin + 1;
    while (end < units.size() && units[end].character == units[begin].character) ++end;
    for (std::size_t i = begin; i < end; ++i) units[i].run = end - begin;
    begin = end;
  }
}

}  // namespace

std::vector<Unit> fold_units(std::string_view text) {
  std::vector<Unit> units;
  std::array<utf8proc_int32_t, kMostParts> parts{};
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    Unit unit{.begin = at, .end = at + point.length};
    at += point.length;
    const utf8proc_category_t category = utf8proc_category(raw(point.value));
    unit.upper = category == UTF8PROC_CATEGORY_LU;
    unit.lower = category == UTF8PROC_CATEGORY_LL;
    int bound = 0;
    const utf8proc_ssize_t made =
        utf8proc_decompose_char(raw(point.value), parts.data(), kMostParts, kFold, &bound);
    const auto count = std::clamp<utf8proc_ssize_t>(made, 0, kMostParts);
    for (utf8proc_ssize_t i = 0; i < count; ++i) {
      unit.character = static_cast<char32_t>(parts[static_cast<std::size_t>(i)]);
      unit.kind = kind_of(unit.character);
      unit.letters = letter_bit(unit.character) | bits_of(leet(unit.character)) |
                     bits_of(looks_like(unit.character));
      // What a capital looks like is lost when it is folded: the Greek H is an eta.
      if (count == 1) unit.letters |= bits_of(looks_like(point.value));
      unit.plain = unit.kind == UnitKind::kLetter || !looks_like(unit.character).empty();
      units.push_back(unit);
    }
  }
  read_capitals_i(units, text);
  count_runs(units);
  return units;
}

}  // namespace bobby::bot
