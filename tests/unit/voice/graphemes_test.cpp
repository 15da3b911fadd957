#include "voice/graphemes.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace bobby {
namespace {

struct Case {
  const char* what;
  std::string text;
  std::vector<std::string> graphemes;
};

TEST(Graphemes, FollowUax29) {
  const std::vector<Case> cases = {
      {"empty", "", {}},
      {"ascii", "ab c", {"a", "b", " ", "c"}},
      {"CR LF is one (GB3)", "a\r\nb", {"a", "\r\n", "b"}},
      {"LF CR is two", "\n\r", {"\n", "\r"}},
      {"a mark belongs to its letter (GB9)", "e\u0301x", {"e\u0301", "x"}},
      {"but not to a control (GB4)", "\n\u0301", {"\n", "\u0301"}},
      {"many marks", "a\u0300\u0301\u0302", {"a\u0300\u0301\u0302"}},
      {"Hangul L V T (GB6..8)", "\u1112\u1161\u11ab", {"\u1112\u1161\u11ab"}},
      {"Hangul LV T", "\uD558\u11ab\uAE00", {"\uD558\u11ab", "\uAE00"}},
      {"Hangul L L V", "\u1100\u1100\u1161", {"\u1100\u1100\u1161"}},
      {"Hangul T L is two", "\u11ab\u1112", {"\u11ab", "\u1112"}},
      {"Devanagari spacing mark (GB9a)", "\u0928\u093F", {"\u0928\u093F"}},
      // U+0915 U+094D U+0937: one since Unicode 15.1 (GB9c), two before.
      {"Tamil vowel sign", "\u0B95\u0BCA\u0B9A", {"\u0B95\u0BCA", "\u0B9A"}},
      {"prepended mark (GB9b)", "\u0600\u0661", {"\u0600\u0661"}},
      {"flags pair up (GB12, GB13)", "🇩🇪🇫🇷🇯", {"🇩🇪", "🇫🇷", "🇯"}},
      {"flags pair up after text", "a🇩🇪🇫🇷", {"a", "🇩🇪", "🇫🇷"}},
      {"a mark parts flags", "🇩\u0301🇪", {"🇩\u0301", "🇪"}},
      {"skin tone", "👍🏽👍", {"👍🏽", "👍"}},
      {"ZWJ family (GB11)", "👨‍👩‍👧‍👦!", {"👨‍👩‍👧‍👦", "!"}},
      {"ZWJ with skin tones", "🧑🏽‍🚀x", {"🧑🏽‍🚀", "x"}},
      {"ZWJ does not join letters", "a\u200Db", {"a\u200D", "b"}},
      {"ZWJ before a picture needs one before it", "a\u200D😀", {"a\u200D", "😀"}},
      {"keycap", "1\uFE0F\u20E3x", {"1\uFE0F\u20E3", "x"}},
      {"variation selector", "❤\uFE0F❤", {"❤\uFE0F", "❤"}},
      {"flag of Wales (tags)",
       "\U0001F3F4\U000E0067\U000E0062\U000E0077\U000E006C\U000E0073\U000E007F.",
       {"\U0001F3F4\U000E0067\U000E0062\U000E0077\U000E006C\U000E0073\U000E007F", "."}},
      {"invalid bytes stand alone", "a\xC3z\xE2\x82", {"a", "\xC3", "z", "\xE2\x82"}},
      {"a mark after an invalid byte joins U+FFFD", "\x80\u0301", {"\x80\u0301"}},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    const auto clusters = split_graphemes(each.text);
    EXPECT_EQ(std::vector<std::string>(clusters.begin(), clusters.end()), each.graphemes);
    EXPECT_EQ(count_graphemes(each.text), std::ssize(each.graphemes));
  }
}

TEST(Graphemes, IndicConjunctsFollowTheTablesVersion) {
  // GB9c came with 15.1: the count must be the one of the version that is named.
  const std::string version(grapheme_unicode_version());
  const bool has_gb9c = std::stod(version) >= 15.1;
  EXPECT_EQ(count_graphemes("\u0915\u094D\u0937"), has_gb9c ? 1 : 2) << "Unicode " << version;
}

}  // namespace
}  // namespace bobby
