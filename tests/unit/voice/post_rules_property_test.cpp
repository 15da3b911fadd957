// What must hold for any answer: cleaning is idempotent, its result is valid and within bounds.

#include <array>
#include <gtest/gtest.h>
#include <random>
#include <string>

#include "voice/graphemes.h"
#include "voice/post_rules.h"
#include "voice/utf8.h"

namespace bobby {
namespace {

std::string utf8(char32_t value) {
  std::string text;
  if (value < 0x80) {
    text += static_cast<char>(value);
  } else if (value < 0x800) {
    text += static_cast<char>(0xC0 | value >> 6);
  } else if (value < 0x10000) {
    text += static_cast<char>(0xE0 | value >> 12);
  } else {
    text += static_cast<char>(0xF0 | value >> 18);
    text += static_cast<char>(0x80 | (value >> 12 & 0x3F));
  }
  if (value >= 0x800) text += static_cast<char>(0x80 | (value >> 6 & 0x3F));
  if (value >= 0x80) text += static_cast<char>(0x80 | (value & 0x3F));
  return text;
}

/// Pieces that the rules look at, chance code points (surrogates included), and chance bytes.
class RandomAnswer {
 public:
  explicit RandomAnswer(std::uint64_t seed) : random_(seed) {}

  std::string operator()() {
    std::string text;
    for (int pieces = below(60); pieces > 0; --pieces) text += piece();
    return text;
  }
  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }

 private:
  std::string piece() {
    static const std::array<std::string, 47> kPieces = {"<think>",
                                                        "</think>",
                                                        "<thi",
                                                        "nk>",
                                                        "<|im_end|>",
                                                        "<|im_",
                                                        "end|>",
                                                        "#",
                                                        "＃",
                                                        "#tag",
                                                        "#1",
                                                        "word",
                                                        " ",
                                                        " ",
                                                        "\n",
                                                        ".",
                                                        ". ",
                                                        "...",
                                                        "!",
                                                        "? ",
                                                        "。",
                                                        "\"",
                                                        "'",
                                                        "“",
                                                        "”",
                                                        "„",
                                                        "’",
                                                        "«",
                                                        "»",
                                                        "「",
                                                        "」",
                                                        "😀",
                                                        "👍🏽",
                                                        "🇩",
                                                        "🇩🇪",
                                                        "👨‍👩‍👧",
                                                        "1\uFE0F\u20E3",
                                                        "\uFE0F",
                                                        "\u200D",
                                                        "\u0301",
                                                        "©",
                                                        "❤",
                                                        "\u1112",
                                                        "\u1161",
                                                        "-",
                                                        ",",
                                                        "\u0600"};
    switch (below(8)) {
      case 0: return utf8(static_cast<char32_t>(below(0x110000)));
      case 1: return utf8(static_cast<char32_t>(below(0x3000)));
      case 2: return std::string(1, static_cast<char>(below(256)));
      default: return kPieces[static_cast<std::size_t>(below(static_cast<int>(kPieces.size())))];
    }
  }
  std::mt19937_64 random_;
};

TEST(CleanPostProperties, HoldForRandomAnswers) {
  RandomAnswer answer(1);
  for (int i = 0; i < 20'000; ++i) {
    PostRules rules;
    rules.remove_emojis = answer.below(2) == 0;
    rules.remove_hashtags = answer.below(2) == 0;
    rules.char_limit =
        std::array<int, 5>{0, 2, 10, 60, 300}[static_cast<std::size_t>(answer.below(5))];
    const std::string text = answer();
    const CleanPost post = clean_post(text, rules);
    const CleanPost again = clean_post(post.text, rules);
    ASSERT_EQ(again.text, post.text) << "not idempotent for: " << text;
    ASSERT_EQ(again.cut, PostCut::kNone) << text;
    ASSERT_EQ(repair_utf8(post.text), post.text) << text;
    ASSERT_EQ(post.graphemes, count_graphemes(post.text));
    if (rules.char_limit > 0) {
      ASSERT_LE(post.graphemes, rules.char_limit) << text;
    }
    ASSERT_EQ(post.text.find("<|im_end|>"), std::string::npos) << text;
    ASSERT_EQ(post.text.find("<think>"), std::string::npos) << text;
    ASSERT_FALSE(post.text.starts_with(' ') || post.text.ends_with(' ')) << text;
  }
}

TEST(CleanPostProperties, GraphemesCoverTheText) {
  RandomAnswer answer(2);
  for (int i = 0; i < 5'000; ++i) {
    const std::string text = answer();
    std::string joined;
    for (const std::string_view grapheme : split_graphemes(text)) {
      ASSERT_FALSE(grapheme.empty());
      joined += grapheme;
    }
    ASSERT_EQ(joined, text);
  }
}

}  // namespace
}  // namespace bobby
