#include "voice/utf8.h"

#include <gtest/gtest.h>
#include <string>

namespace bobby {
namespace {

TEST(Utf8, ReadsCodePointsOfEveryLength) {
  const std::string text = "aé€😀";
  std::size_t at = 0;
  for (const auto& [value, length] :
       {std::pair<char32_t, std::size_t>{U'a', 1}, {0xE9, 2}, {0x20AC, 3}, {0x1F600, 4}}) {
    const CodePoint point = decode_utf8(text, at);
    EXPECT_EQ(point.value, value);
    EXPECT_EQ(point.length, length);
    at += point.length;
    EXPECT_EQ(decode_utf8_before(text, at).value, value);
  }
  EXPECT_EQ(at, text.size());
}

TEST(Utf8, ReplacesEachMaximalSubpart) {
  const std::string bad = "\xEF\xBF\xBD";
  const struct {
    std::string bytes;
    std::string repaired;
  } cases[] = {
      {"", ""},
      {"plain é 😀", "plain é 😀"},
      {"\x80", bad},                                // a continuation alone
      {"\xC3", bad},                                // cut off
      {"\xE2\x82", bad},                            // cut off: one, not two
      {"\xF0\x9F\x98", bad},                        // cut off: one, not three
      {"\xC0\xAF", bad + bad},                      // overlong
      {"\xE0\x80\xAF", bad + bad + bad},            // overlong
      {"\xED\xA0\x80", bad + bad + bad},            // a surrogate
      {"\xF4\x90\x80\x80", bad + bad + bad + bad},  // past U+10FFFF
      {"\xF5\x80", bad + bad},
      {"\xFF", bad},
      {"a\xE2\x82z", "a" + bad + "z"},
      // The example of Unicode 15, table 3-8.
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", bad + bad + bad + bad + "A"},
  };
  for (const auto& [bytes, repaired] : cases) EXPECT_EQ(repair_utf8(bytes), repaired);
}

}  // namespace
}  // namespace bobby
