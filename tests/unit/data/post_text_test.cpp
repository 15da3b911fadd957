#include "data/post_text.h"

#include <gtest/gtest.h>

#include "data/moments.h"

namespace bobby::data {
namespace {

TEST(PostText, TidyKeepsWhatIsSeen) {
  EXPECT_EQ(tidy("  two  spaces\tand a tab  "), "two spaces and a tab");
  EXPECT_EQ(tidy("a \r\n b\r\n\r\n\r\n\r\nc\n"), "a\nb\n\nc");
  EXPECT_EQ(tidy("\n\n begins late"), "begins late");
  EXPECT_EQ(tidy("no\u00A0break\u2009thin"), "no break thin");
  EXPECT_EQ(tidy("a\u200Bb\u202Ec\uFEFF\x01"), "abc");
  EXPECT_EQ(tidy("caf\u0065\u0301"), "caf\u00E9");
  EXPECT_EQ(tidy("\U0001F469\u200D\U0001F469 and \u2764\uFE0F"),
            "\U0001F469\u200D\U0001F469 and \u2764\uFE0F");
  EXPECT_EQ(tidy(" \n\u200B"), "");
}

TEST(PostText, WordsAreWhatIsLeftOfLinksNamesAndTags) {
  EXPECT_TRUE(has_words("look https://example.org"));
  EXPECT_TRUE(has_words("2024"));
  EXPECT_TRUE(has_words("\u65E5\u672C"));
  EXPECT_TRUE(has_words("@anna yes"));
  EXPECT_FALSE(has_words("https://example.org/words"));
  EXPECT_FALSE(has_words("@anna @bert.example.org #tag #a_b"));
  EXPECT_FALSE(has_words("\U0001F600 !!!"));
  EXPECT_FALSE(has_words(""));
}

TEST(Moments, TimesOfTweetsAndIso) {
  EXPECT_EQ(parse_tweet_time("Wed Oct 10 20:19:24 +0000 2018"), 1539202764);
  EXPECT_EQ(parse_tweet_time("Wed Oct 10 22:19:24 +0200 2018"), 1539202764);
  EXPECT_EQ(parse_tweet_time("Thu Jan 01 00:00:00 +0000 1970"), 0);
  for (const char* bad :
       {"", "Wed", "Wed Oct 10 20:19:24 +0000 20181", "Wed Okt 10 20:19:24 +0000 2018",
        "Wed Feb 30 20:19:24 +0000 2018", "Wed Oct 10 25:19:24 +0000 2018"})
    EXPECT_FALSE(parse_tweet_time(bad)) << bad;
  EXPECT_EQ(parse_iso_time("2018-10-10T20:19:24.123Z"), 1539202764);
  EXPECT_EQ(parse_iso_time("2018-10-10T20:19:24Z"), 1539202764);
  EXPECT_EQ(parse_iso_time("2018-10-10T20:19:24"), 1539202764);
  EXPECT_EQ(parse_iso_time("2018-10-10T16:49:24-03:30"), 1539202764);
  for (const char* bad : {"", "2018-10-10", "2018-13-10T20:19:24Z", "2018-10-10T20:19:24ZZ", "now"})
    EXPECT_FALSE(parse_iso_time(bad)) << bad;
}

}  // namespace
}  // namespace bobby::data
