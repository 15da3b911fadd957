#include "tokenizer/utf8.h"

#include <gtest/gtest.h>

namespace bobby::detail {
namespace {

std::string repaired(std::string_view bytes) {
  std::string text;
  EXPECT_EQ(append_valid_utf8(bytes, true, text), bytes.size());
  return text;
}

TEST(Utf8, EveryCodePointIsReadAsWritten) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(c, text);
    const Utf8Step step = utf8_front(text);
    ASSERT_EQ(step.front, Utf8Front::kCodePoint);
    ASSERT_EQ(step.length, text.size());
    ASSERT_EQ(decode_utf8(text.data()).value, c);
  }
}

// One U+FFFD for each maximal subpart (Unicode 15, chapter 3, table 3-8 and around it).
TEST(Utf8, InvalidSequencesBecomeReplacementCharacters) {
  const std::string r = "\uFFFD";
  EXPECT_EQ(repaired("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(repaired("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(repaired("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(repaired("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
}

TEST(Utf8, AnUnfinishedCodePointIsLeftUnlessTheTextEnds) {
  std::string text;
  EXPECT_EQ(append_valid_utf8("a\xF0\x9F\x98", false, text), 1u);
  EXPECT_EQ(text, "a");
  EXPECT_EQ(append_valid_utf8("\xF0\x9F\x98", true, text), 3u);
  EXPECT_EQ(text, "a\uFFFD");
}

}  // namespace
}  // namespace bobby::detail
