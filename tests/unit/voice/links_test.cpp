#include "voice/links.h"

#include <gtest/gtest.h>

#include "voice/folded_words.h"

namespace bobby {
namespace {

TEST(FoldedWords, ForgetCaseAccentsAndPunctuation) {
  EXPECT_EQ(folded_words("Caf\u00E9, \uFF21BC! https://x.org \u2014 Stra\u00DFe"),
            "cafe abc strasse");
  EXPECT_EQ(folded_words("..."), "");
}

TEST(Links, EndWhereTheSentenceGoesOn) {
  const auto link_of = [](std::string_view text) -> std::string {
    const auto span = find_link(text);
    return span ? std::string(text.substr(span->begin, span->end - span->begin)) : "";
  };
  EXPECT_EQ(link_of("see https://example.org/a."), "https://example.org/a");
  EXPECT_EQ(link_of("(https://example.org/a)"), "https://example.org/a");
  EXPECT_EQ(link_of("https://en.wikipedia.org/wiki/A_(b), yes"),
            "https://en.wikipedia.org/wiki/A_(b)");
  EXPECT_EQ(link_of("HTTPS://EXAMPLE.ORG?!"), "HTTPS://EXAMPLE.ORG");
  EXPECT_EQ(link_of("\u300Chttps://example.org\u300D"), "https://example.org");
  EXPECT_EQ(link_of("ftp://example.org and xhttp://a and http:// b"), "");
  EXPECT_EQ(link_of("ftp://a http://b"), "http://b");
}

TEST(Links, ReplacingNothingTakesTheSpaceToo) {
  EXPECT_EQ(without_links("a https://x.org b"), "a b");
  EXPECT_EQ(without_links("a https://x.org."), "a.");
  EXPECT_EQ(without_links("https://x.org https://y.org"), "");
  EXPECT_EQ(replace_links("a https://x.org b", [](std::string_view) { return "L"; }), "a L b");
}

TEST(Links, ManyBracketsTakeNoLongerThanOthers) {
  const std::string text = "http://a" + std::string(1'000'000, ')');
  EXPECT_EQ(find_link(text)->end, 8u);
}

}  // namespace
}  // namespace bobby
