#include "voice/post_rules.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "voice/graphemes.h"

namespace bobby {
namespace {

PostRules no_limits() {
  PostRules rules;
  rules.char_limit = 0;
  rules.min_chars = 0;
  return rules;
}

struct Case {
  const char* what;
  std::string answer;
  std::string post;
};

void check(const std::vector<Case>& cases, const PostRules& rules) {
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    EXPECT_EQ(clean_post(each.answer, rules).text, each.post);
  }
}

TEST(CleanPost, CutsAtStops) {
  check({{"end of turn", "Hello there<|im_end|>\n<|im_start|>user", "Hello there"},
         {"the first of several", "one<|endoftext|>two<|im_end|>", "one"},
         {"at the beginning", "<|im_end|>text", ""},
         {"inside a think block", "<think>hm<|im_end|></think>text", ""},
         {"part of a stop stays", "a <|im_en", "a <|im_en"}},
        no_limits());
  PostRules rules = no_limits();
  rules.stops = {"", "###"};
  check({{"own stops, empty ones ignored", "text ### more<|im_end|>", "text"}}, rules);
}

TEST(CleanPost, RemovesThinking) {
  check({{"closed", "<think>\nsure\n</think>\n\nCoffee is good.", "Coffee is good."},
         {"empty", "<think>\n\n</think>\n\nCoffee.", "Coffee."},
         {"in the middle", "One <think>x</think> two", "One two"},
         {"unclosed", "Coffee. <think>now what", "Coffee."},
         {"only that", "<think>never ends", ""},
         {"several", "<think>a</think>x<think>b</think>y", "xy"},
         {"nested", "<think>a<think>b</think>c</think>d", "d"},
         {"nested, unclosed", "x<think>a<think>b</think>c", "x"},
         {"begun in the prompt", "so I write</think>Coffee.", "Coffee."},
         {"closed twice", "<think>a</think>b</think>c", "c"},
         {"put together by removal", "<thi<think>x</think>nk>secret</think>post", "post"},
         {"another tag stays", "<thinking>a</thinking>", "<thinking>a</thinking>"}},
        no_limits());
  EXPECT_TRUE(clean_post("<think>a</think>b", no_limits()).removed_thinking);
  EXPECT_FALSE(clean_post("b", no_limits()).removed_thinking);
}

TEST(CleanPost, RemovesEmojis) {
  check({{"simple", "Coffee 😀 time", "Coffee time"},
         {"without spaces", "a😀b", "ab"},
         {"before a full stop", "So good ☕️.", "So good."},
         {"skin tone", "ok 👍🏽", "ok"},
         {"lone skin tone", "ok 🏽 x", "ok x"},
         {"ZWJ family", "we 👨‍👩‍👧‍👦 are", "we are"},
         {"ZWJ of text signs", "⛹🏽‍♀️ run", "run"},
         {"flags", "from 🇩🇪🇫🇷 to", "from to"},
         {"half a flag", "🇩 x", "x"},
         {"flag of Wales",
          "\U0001F3F4\U000E0067\U000E0062\U000E0077\U000E006C\U000E0073\U000E007F go", "go"},
         {"keycap", "step 1\uFE0F\u20E3 done", "step done"},
         {"keycap of '#'", "#\uFE0F\u20E3 x", "x"},
         {"heart without selector", "I ❤ it", "I it"},
         {"heart as text", "I ❤\uFE0E it", "I ❤\uFE0E it"},
         {"watch", "⌚ now", "now"},
         {"digits stay", "1 2 3 * #", "1 2 3 * #"},
         {"signs stay", "© ® ™ ‼ ↔ ▪ ㊗", "© ® ™ ‼ ↔ ▪ ㊗"},
         {"signs asked to be pictures", "a ©\uFE0F b ↔\uFE0F", "a b"},
         {"check mark that is no emoji", "✓ done", "✓ done"},
         {"CJK stays", "日本語 한국어", "日本語 한국어"}},
        no_limits());
  EXPECT_EQ(clean_post("😀😀 and 🇩🇪", no_limits()).removed_emojis, 3);
  PostRules rules = no_limits();
  rules.remove_emojis = false;
  check({{"kept", "Coffee 😀 👨‍👩‍👧", "Coffee 😀 👨‍👩‍👧"}}, rules);
}

TEST(CleanPost, RemovesHashtags) {
  check({{"at the end", "Good coffee. #coffee #morning", "Good coffee."},
         {"in the middle", "I love #coffee today", "I love today"},
         {"before punctuation", "I love #coffee, really", "I love, really"},
         {"in brackets", "x (#tag) y", "x () y"},
         {"German", "gut #Frühstück", "gut"},
         {"Japanese", "朝 #コーヒー", "朝"},
         {"Arabic", "صباح #قهوة", "صباح"},
         {"Persian with a joiner", "x #می\u200Cخواهم y", "x y"},
         {"Hindi with marks", "x #हिन्दी y", "x y"},
         {"wide sign", "x ＃タグ y", "x y"},
         {"underscore and digits", "x #a_1b y", "x y"},
         {"digits first", "x #2024goals y", "x y"},
         {"hyphen", "x #AI-driven y", "x y"},
         {"hyphen at its end stays", "x #AI- y", "x - y"},
         {"several signs", "x ##tag y", "x y"},
         {"one after the other", "x #a#b y", "x y"},
         {"with an emoji", "x #☕ #☕love y", "x y"},
         {"a number stays", "we are #1 and #2.", "we are #1 and #2."},
         {"a number and an emoji", "we are #1🎉", "we are #1"},
         {"C# stays", "I write C# and F#.", "I write C# and F#."},
         {"C#-like word stays", "C#sharp", "C#sharp"},
         {"fragment of a link stays", "see example.org/#top", "see example.org/#top"},
         {"entity stays", "a &#x27; b", "a &#x27; b"},
         {"sign alone stays", "# title #", "# title #"},
         {"uncovered by an emoji", "#😀x and #", "and #"}},
        no_limits());
  EXPECT_EQ(clean_post("a #b #c #1", no_limits()).removed_hashtags, 2);
  PostRules rules = no_limits();
  rules.remove_hashtags = false;
  check({{"kept", "Good #coffee", "Good #coffee"}}, rules);
}

TEST(CleanPost, CollapsesWhitespace) {
  check({{"ends and runs", " \n a \t\r\n  b\n", "a b"},
         {"no-break, ideographic, line separator", "a\u00A0\u3000\u2028b", "a b"},
         {"control characters",
          std::string("a\0\x07"
                      "b",
                      4),
          "a b"},
         {"only whitespace", " \n\t ", ""}},
        no_limits());
}

TEST(CleanPost, TrimsQuotesThatWrapTheWhole) {
  check({{"straight", "\"Coffee is good.\"", "Coffee is good."},
         {"single", "'Coffee is good.'", "Coffee is good."},
         {"backticks", "`coffee`", "coffee"},
         {"typographic", "“Coffee”", "Coffee"},
         {"single typographic, with an apostrophe", "‘It’s good’", "It’s good"},
         {"German", "„Kaffee“", "Kaffee"},
         {"Polish", "„kawa”", "kawa"},
         {"French with spaces", "« café »", "café"},
         {"angle", "‹x›", "x"},
         {"Japanese", "「コーヒー」", "コーヒー"},
         {"Japanese, double", "『コーヒー』", "コーヒー"},
         {"two pairs", "“'deep'”", "deep"},
         {"with whitespace around", " \"a b\" \n", "a b"},
         {"quoted inside", "\"He said \"hi\" to me\"", "He said \"hi\" to me"},
         {"apostrophes", "'don't stop'", "don't stop"},
         {"two quotations stay", "\"a\" and \"b\"", "\"a\" and \"b\""},
         {"two typographic stay", "“a” and “b”", "“a” and “b”"},
         {"one side only stays", "\"a b", "\"a b"},
         {"in the middle stays", "a \"b\" c", "a \"b\" c"},
         {"different kinds stay", "\"a'", "\"a'"},
         {"a lone quote stays", "\"", "\""},
         {"nothing inside", "\"\"", ""}},
        no_limits());
  EXPECT_TRUE(clean_post("\"a\"", no_limits()).trimmed_quotes);
  EXPECT_FALSE(clean_post("a", no_limits()).trimmed_quotes);
}

std::string words(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text.append(i == 0 ? "word" : " word");
  return text;
}

TEST(CleanPost, CutsAtTheLastSentenceEndPastFifty) {
  PostRules rules = no_limits();
  rules.char_limit = 80;
  const std::string sentence = words(11).append(".");  // 55 graphemes
  const CleanPost cut = clean_post(sentence + " And then much more of the same text.", rules);
  EXPECT_EQ(cut.text, sentence);
  EXPECT_EQ(cut.cut, PostCut::kSentence);
  EXPECT_EQ(cut.graphemes, 55);

  rules.char_limit = 70;
  check(
      {{"the last of several", words(5) + "? " + words(5) + "! " + words(2) + ". " + words(9),
        words(5) + "? " + words(5) + "! " + words(2) + "."},
       {"a closing quote belongs to it", "He said “" + words(10) + ".” And then he left for good.",
        "He said “" + words(10) + ".”"},
       {"a number is no end", words(11) + " 3.14159265358979323846", words(11) + "..."},
       {"ideographic full stop needs no space",
        std::string("日本語") + words(11) + "。続きがあるので長いとても長い文章です",
        std::string("日本語") + words(11) + "。"}},
      rules);
}

TEST(CleanPost, CutsAtTheLastWordOtherwise) {
  PostRules rules = no_limits();
  rules.char_limit = 20;
  check(
      {{"fits", "exactly twenty chars", "exactly twenty chars"},
       {"one too many", "exactly twenty-one ch", "exactly..."},
       {"a word ends at the limit", "seventeen letters and more", "seventeen letters..."},
       {"a comma goes", "seventeen letter, and more", "seventeen letter..."},
       {"an early sentence end does not count", "Short one. Then it goes on", "Short one. Then..."},
       {"full stop before the dots", "Sixteen letters. Then it goes on", "Sixteen letters..."},
       {"one long word", "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopq..."},
       {"never inside a grapheme",
        "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301"
        "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301",
        "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301"
        "e\u0301e\u0301e\u0301e\u0301e\u0301..."}},
      rules);
  EXPECT_EQ(clean_post("exactly twenty-one ch", rules).cut, PostCut::kWord);
  EXPECT_EQ(clean_post("abcdefghijklmnopqrstuvwxyz", rules).cut, PostCut::kGrapheme);
  rules.char_limit = 2;
  check({{"no room for dots", "abcdef", "ab"}}, rules);
}

TEST(CleanPost, CountsGraphemesForTheLimit) {
  PostRules rules = no_limits();
  rules.remove_emojis = false;
  rules.char_limit = 4;
  const CleanPost post = clean_post("👨‍👩‍👧‍👦🇩🇪👍🏽e\u0301", rules);
  EXPECT_EQ(post.cut, PostCut::kNone);
  EXPECT_EQ(post.graphemes, 4);
}

TEST(CleanPost, SaysWhatIsTooShort) {
  PostRules rules;
  EXPECT_TRUE(clean_post("nineteen letters ..", rules).too_short);
  EXPECT_FALSE(clean_post("twenty letters .....", rules).too_short);
  rules.min_chars = 0;
  EXPECT_TRUE(clean_post("😀 #tag", rules).too_short) << "an empty post is too short for anyone";
}

TEST(CleanPost, ReplacesInvalidUtf8) {
  check({{"in the middle", "a \xC3 b\xE2\x82", "a \uFFFD b\uFFFD"}}, no_limits());
}

}  // namespace
}  // namespace bobby
