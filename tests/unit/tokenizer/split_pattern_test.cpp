#include "tokenizer/split_pattern.h"

#include <gtest/gtest.h>
#include <random>

#include "tokenizer/utf8.h"

namespace bobby::detail {
namespace {

/// The pieces of `text`, separated by "|".
std::string cut(const SplitPattern& pattern, std::string_view text) {
  std::string pieces;
  for (std::size_t at = 0; at < text.size();) {
    const SplitPattern::Match match = pattern.find(text, at);
    if (match.begin != at || match.end <= at) return pieces + "<no match>";
    pieces.append(text, at, match.end - at).append("|");
    at = match.end;
  }
  return pieces;
}

/// Random text, mostly of characters that the patterns tell apart.
std::string random_text(std::mt19937& random) {
  static const std::u32string kTelling =
      U"aZsStTdDmMrReEvVlLxé\u017Fʼ''''  \t\n\r\u000B\u0085\u00A0\u180E\u2028\u3000\uFEFF"
      U"019٣½Ⅷ²!?.,#@-_$€\u0301\u200D\u0640日本語한😀👍\U0001F3FD\U0001E4EC\U00011F04\U0001CCF0";
  std::string text;
  for (auto left = 1 + random() % 24; left > 0; --left) {
    char32_t c = kTelling[random() % kTelling.size()];
    if (random() % 8 == 0) c = random() % 0x110000;
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    for (auto repeat = random() % 6 == 0 ? 5 : 1; repeat > 0; --repeat) append_utf8(c, text);
  }
  return text;
}

TEST(KnownPatterns, CutAsTheRegexEngineDoes) {
  std::mt19937 random(3);
  for (const std::string_view regex :
       {known_patterns::kGpt2, known_patterns::kQwen2, known_patterns::kLlama3}) {
    const auto by_hand = make_known_pattern(regex);
    const auto by_engine = make_regex_pattern(regex, "test");
    ASSERT_TRUE(by_hand);
    ASSERT_TRUE(by_engine) << by_engine.error().to_string();
    for (int i = 0; i < 30'000; ++i) {
      const std::string text = random_text(random);
      ASSERT_EQ(cut(*by_hand, text), cut(**by_engine, text)) << regex << " on " << text;
    }
  }
}

TEST(KnownPatterns, CutTheseAsTheirModelsDo) {
  const auto qwen2 = make_known_pattern(known_patterns::kQwen2);
  EXPECT_EQ(cut(*qwen2, "We'LL  see 2024!\r\n\n ok "), "We|'LL| | see| |2|0|2|4|!\r\n\n| ok| |");
  const auto llama3 = make_known_pattern(known_patterns::kLlama3);
  EXPECT_EQ(cut(*llama3, "in 20245 #tag"), "in| |202|45| #|tag|");
  const auto gpt2 = make_known_pattern(known_patterns::kGpt2);
  EXPECT_EQ(cut(*gpt2, "We'LL we'll  in 2024\n\n"), "We|'|LL| we|'ll| | in| 2024|\n\n|");
}

TEST(KnownPatterns, AreRecognisedByTheirExactText) {
  EXPECT_FALSE(make_known_pattern("\\p{L}+"));
  EXPECT_FALSE(make_known_pattern(std::string(known_patterns::kQwen2) + " "));
}

TEST(RegexPattern, FindsTheLeftmostMatch) {
  const auto pattern = make_regex_pattern("\\d{1,2}|[x\\s]+", "test");
  ASSERT_TRUE(pattern);
  const auto match = (*pattern)->find("abc123", 0);
  EXPECT_EQ(match.begin, 3u);
  EXPECT_EQ(match.end, 5u);
  EXPECT_EQ((*pattern)->find("abc", 0).begin, std::string_view::npos);
}

TEST(RegexPattern, AVeryLongPieceIsStillMatched) {
  const auto pattern = make_regex_pattern("(?:a|b)+c", "test");
  ASSERT_TRUE(pattern);
  std::string text(200'000, 'a');
  text += 'c';
  EXPECT_EQ((*pattern)->find(text, 0).end, text.size());
}

TEST(RegexSyntax, MeaningIsKeptWhereTheSyntaxDiffers) {
  EXPECT_EQ(to_pcre2_syntax("a{,3}\\v\\p{Han}", "test"), "a{0,3}\\x{b}\\p{sc:Han}");
  EXPECT_EQ(to_pcre2_syntax("(?i:x)[^\\r\\p{Lu}]?\\.", "test"), "(?i:x)[^\\r\\p{Lu}]?\\.");
}

TEST(RegexSyntax, WhatMayMeanSomethingElseIsRefusedByName) {
  for (const char* regex :
       {"\\w+",   "\\h",     "\\b",   "^a",       "a$",   "[[:alpha:]]", "[a&&b]", "[a[b]]",
        "(?m:a)", "(?<n>a)", "a{2}?", "a{2}+",    "a{x}", "\\K",         "\\1",    "[a",
        "\\p",    "\\p{^L}", "[\\S]", "[\\P{L}]", "a\\",  "(*UTF)",      "[]a]"}) {
    const auto pattern = make_regex_pattern(regex, "key");
    ASSERT_FALSE(pattern) << regex;
    EXPECT_EQ(pattern.error().code, ErrorCode::kUnsupported) << regex;
    EXPECT_EQ(pattern.error().where, "key");
  }
}

TEST(RegexPattern, PatternsThatCannotCutAreRefused) {
  for (const char* regex : {"a*", "(", "a**b(", "\\p{Klingon}", "(?=a)"})
    EXPECT_FALSE(make_regex_pattern(regex, "key")) << regex;
}

}  // namespace
}  // namespace bobby::detail
