#include "bluesky/card.h"

#include <gtest/gtest.h>

#include "voice/graphemes.h"

namespace bobby::bluesky {
namespace {

const std::string kUrl = "https://example.com/page";

std::string shown(std::string_view html) {
  const Card card = card_of_page(kUrl, html);
  EXPECT_EQ(card.uri, kUrl);
  return card.title + " | " + card.description;
}

TEST(Card, SaysWhatThePageSaysOfItself) {
  EXPECT_EQ(shown("<html><head><title>A &amp; B\n  page</title>"
                  "<meta name=description content='Of &quot;words&quot;'></head></html>"),
            "A & B page | Of \"words\"");
  EXPECT_EQ(shown("<head><title>Other</title><meta property='og:title' content='Gr\u00FC\u00DFe'>"
                  "<meta property='og:description' content='D'><meta name='description' "
                  "content='E'></head>"),
            "Gr\u00FC\u00DFe | D");
  EXPECT_EQ(shown("<meta name='twitter:title' content='T'><body><title>late</title>"), "T | ");
}

TEST(Card, OfWhateverComesHasATitle) {
  for (const std::string& html :
       {std::string(), std::string("\0<", 2), std::string("<title></title>"), std::string("{}"),
        std::string("<meta"), std::string(3000, '<'), std::string("\xFF\xFE\x00\x01", 4),
        std::string("<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><title>&a;</title>")}) {
    const Card card = card_of_page(kUrl, html);
    EXPECT_FALSE(card.title.empty());
    EXPECT_EQ(card.title.find("root:"), std::string::npos);
  }
  std::string deep;
  for (int i = 0; i < 20'000; ++i) deep += "<div>";
  EXPECT_EQ(shown(deep), kUrl + " | ");
}

TEST(Card, IsNoLongerThanItIsShown) {
  std::string long_text;
  for (int i = 0; i < 2000; ++i) long_text += "\u00E9";
  const Card card =
      card_of_page(kUrl, "<head><meta charset='utf-8'><title>" + long_text +
                             "</title><meta name='description' content='" + long_text + "'>");
  EXPECT_EQ(count_graphemes(card.title), 200);
  EXPECT_EQ(count_graphemes(card.description), 500);
}

TEST(Card, IsFetchedOverHttpsAlone) {
  int asked = 0;
  const net::Get get = [&](const std::string&) -> Result<net::Answer> {
    ++asked;
    return net::Answer{.status = asked == 1 ? 200 : 404, .body = "<title>T</title>", .wait = {}};
  };
  const auto card = fetch_card(get, kUrl);
  ASSERT_TRUE(card);
  EXPECT_EQ(card->title, "T");
  EXPECT_FALSE(fetch_card(get, kUrl));
  for (const char* url : {"http://example.com", "file:///etc/passwd", "example.com", ""})
    EXPECT_FALSE(fetch_card(get, url)) << url;
  EXPECT_EQ(asked, 2);
}

}  // namespace
}  // namespace bobby::bluesky
