#include "tokenizer/char_class.h"

#include <map>
#include <string>
#include <utf8proc.h>

namespace bobby::detail {
namespace {

// Alphabetic symbols (Other_Alphabetic of category So): circled and squared Latin letters.
constexpr CodePointRange kAlphabeticSymbols[] = {
    {0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};
constexpr CodePointRange kJoinControls[] = {{0x200C, 0x200D}};
constexpr CodePointRange kWhiteSpace[] = {
    {0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};

// Numbers of Unicode 17, which only the Digits pre-tokenizer knows.
constexpr CodePointRange kNumbersOf17[] = {{0x11DE0, 0x11DE9}, {0x16FF4, 0x16FF6}};
// Numbers that are no decimal digits, hence not \w.
constexpr CodePointRange kOtherNumbersSince14[] = {{0x1D2C0, 0x1D2D3}};

std::uint8_t class_of_category(utf8proc_category_t category) {
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return kLetter | kWord;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL: return kNumber | kDigitStep | kWord;
    case UTF8PROC_CATEGORY_NO: return kNumber | kDigitStep;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_PC: return kWord;
    default: return 0;
  }
}

template <typename Ranges>
void add(const Ranges& ranges, std::uint8_t classes, std::vector<std::uint8_t>& all) {
  for (const CodePointRange& range : ranges)
    for (char32_t c = range.first; c <= range.last; ++c) all[c] |= classes;
}

std::vector<std::uint8_t> classes_of_all() {
  std::vector<std::uint8_t> all(0x110000);
  for (char32_t c = 0; c < all.size(); ++c) {
    if (c == 0x40000) c = 0xE0000;  // planes 4 to 13 are unassigned
    if (c == 0xF0000) break;        // private use
    all[c] = class_of_category(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
  }
  add(letters_since_unicode_14(), kLetter | kWord, all);
  add(numbers_since_unicode_14(), kNumber | kDigitStep | kWord, all);
  for (const CodePointRange& range : kOtherNumbersSince14)
    for (char32_t c = range.first; c <= range.last; ++c) all[c] = kNumber | kDigitStep;
  add(kNumbersOf17, kDigitStep, all);
  add(marks_since_unicode_14(), kWord, all);
  add(kAlphabeticSymbols, kWord, all);
  add(kJoinControls, kWord, all);
  add(kWhiteSpace, kSpace, all);
  all['\r'] |= kNewline;
  all['\n'] |= kNewline;
  return all;
}

}  // namespace

const std::vector<CodePointRange>& letters_since_unicode_14() {
  static const std::vector<CodePointRange> ranges = {
      {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
      {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x1123F, 0x11240},
      {0x11380, 0x11389}, {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5},
      {0x113B7, 0x113B7}, {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0},
      {0x11F02, 0x11F02}, {0x11F04, 0x11F10}, {0x11F12, 0x11F33}, {0x1342F, 0x1342F},
      {0x13441, 0x13446}, {0x13460, 0x143FA}, {0x16100, 0x1611D}, {0x16D40, 0x16D6C},
      {0x18CFF, 0x18CFF}, {0x1B132, 0x1B132}, {0x1B155, 0x1B155}, {0x1DF25, 0x1DF2A},
      {0x1E030, 0x1E06D}, {0x1E4D0, 0x1E4EB}, {0x1E5D0, 0x1E5ED}, {0x1E5F0, 0x1E5F0},
      {0x2B739, 0x2B739}, {0x2EBF0, 0x2EE5D}, {0x31350, 0x323AF}};
  return ranges;
}

const std::vector<CodePointRange>& numbers_since_unicode_14() {
  static const std::vector<CodePointRange> ranges = {
      {0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9}, {0x11F50, 0x11F59},
      {0x16130, 0x16139}, {0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9}, {0x1D2C0, 0x1D2D3},
      {0x1E4F0, 0x1E4F9}, {0x1E5F1, 0x1E5FA}};
  return ranges;
}

const std::vector<CodePointRange>& marks_since_unicode_14() {
  static const std::vector<CodePointRange> ranges = {
      {0x0897, 0x0897},   {0x0CF3, 0x0CF3},   {0x0ECE, 0x0ECE},   {0x10D69, 0x10D6D},
      {0x10EFC, 0x10EFF}, {0x11241, 0x11241}, {0x113B8, 0x113C0}, {0x113C2, 0x113C2},
      {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D0}, {0x113D2, 0x113D2},
      {0x113E1, 0x113E2}, {0x11F00, 0x11F01}, {0x11F03, 0x11F03}, {0x11F34, 0x11F3A},
      {0x11F3E, 0x11F42}, {0x11F5A, 0x11F5A}, {0x13440, 0x13440}, {0x13447, 0x13455},
      {0x1611E, 0x1612F}, {0x1E08F, 0x1E08F}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF}};
  return ranges;
}

CharClasses::CharClasses() {
  const std::vector<std::uint8_t> all = classes_of_all();
  std::map<std::string, std::uint16_t> seen;
  for (std::size_t page = 0; page < pages_.size(); ++page) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(page << kPageBits);
    const std::string content(begin, begin + (1 << kPageBits));
    const auto [entry, is_new] = seen.try_emplace(content, seen.size());
    if (is_new) classes_.insert(classes_.end(), content.begin(), content.end());
    pages_[page] = entry->second;
  }
  for (char32_t c = 0; c < kAscii; ++c) ascii_[c] = all[c];
}

const CharClasses& CharClasses::get() {
  static const CharClasses classes;
  return classes;
}

}  // namespace bobby::detail
