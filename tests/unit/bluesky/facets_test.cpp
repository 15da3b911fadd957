// What of a text becomes a link, a mention or a tag, and which bytes of it.

#include "bluesky/facets.h"

#include <gtest/gtest.h>

#include "voice/utf8.h"

namespace bobby::bluesky {
namespace {

const std::string kAlice = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

// "[shown](value)" around each facet, with the kind's letter: L, M or T.
std::string marked(const RichText& rich) {
  std::string out;
  std::size_t at = 0;
  for (const Facet& facet : rich.facets) {
    EXPECT_LE(at, facet.begin);
    EXPECT_LT(facet.begin, facet.end);
    EXPECT_LE(facet.end, rich.text.size());
    out += rich.text.substr(at, facet.begin - at);
    out += "[" + rich.text.substr(facet.begin, facet.end - facet.begin) + "](" +
           "LMT"[static_cast<int>(facet.kind)] + " " + facet.value + ")";
    at = facet.end;
  }
  return out + rich.text.substr(at);
}

std::string found(std::string_view text, bool shorten = false) {
  RichTextOptions options{.shorten_links = shorten};
  options.did_of_handle = [](const std::string& handle) -> Result<std::optional<std::string>> {
    if (handle == "alice.example" || handle == "bob.test" || handle == "x-y.co.uk")
      return "did:web:" + handle;
    return std::nullopt;
  };
  const auto rich = make_rich_text(text, options);
  EXPECT_TRUE(rich) << rich.error().to_string();
  return rich ? marked(*rich) : "";
}

struct Case {
  const char* text;
  const char* wanted;
};

TEST(Facets, Links) {
  const Case cases[] = {
      {"see https://example.com/a?b=c#d now",
       "see [https://example.com/a?b=c#d](L https://example.com/a?b=c#d) now"},
      {"https://example.com.", "[https://example.com](L https://example.com)."},
      {"(https://example.com/a_(b))", "([https://example.com/a_(b)](L https://example.com/a_(b)))"},
      {"HTTP://Example.com!?", "[HTTP://Example.com](L HTTP://Example.com)!?"},
      {"grün: https://example.com/é, ja",
       "grün: [https://example.com/é](L https://example.com/%C3%A9), ja"},
      {"„https://example.com/x“", "„[https://example.com/x](L https://example.com/x)“"},
      {"https://a.example https://b.example",
       "[https://a.example](L https://a.example) [https://b.example](L https://b.example)"},
      {"*https://example.com/a*", "*[https://example.com/a](L https://example.com/a)*"},
      {"https://example.com/@alice.example/#tag",
       "[https://example.com/@alice.example/#tag](L https://example.com/@alice.example/#tag)"},
      {"https://", "https://"},
      {"https:///nowhere", "https:///nowhere"},
      {"xhttps://example.com", "xhttps://example.com"},
      {"ftp://example.com and example.com", "ftp://example.com and example.com"},
      {"javascript:alert(1)", "javascript:alert(1)"},
      {"https://例え.jp/道", "[https://例え.jp/道](L https://例え.jp/%E9%81%93)"},
      {"🏔️https://example.com🏔️",
       "🏔️[https://example.com](L https://example.com)🏔️"},
  };
  for (const Case& c : cases) EXPECT_EQ(found(c.text), c.wanted) << c.text;
}

TEST(Facets, LinksAreShownShort) {
  const Case cases[] = {
      {"https://example.com", "[example.com](L https://example.com)"},
      {"https://example.com/", "[example.com](L https://example.com/)"},
      {"https://example.com/123456789abcde",
       "[example.com/123456789abcde](L https://example.com/123456789abcde)"},
      {"https://example.com/123456789abcdef",
       "[example.com/123456789abc...](L https://example.com/123456789abcdef)"},
      {"http://example.com:8080/a?b", "[example.com:8080/a?b](L http://example.com:8080/a?b)"},
      {"https://bank.example@evil.example/x",
       "[evil.example/x](L https://bank.example@evil.example/x)"},
      {"🏔️ https://example.com/a-long-path?to=it 🏔️ #tag",
       "🏔️ [example.com/a-long-path?...](L https://example.com/a-long-path?to=it) 🏔️ "
       "[#tag](T tag)"},
      {"https://example.com/ééééééééééééééééé",
       "[example.com/éééééééééééé...](L "
       "https://example.com/%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%"
       "A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9)"},
  };
  for (const Case& c : cases) EXPECT_EQ(found(c.text, true), c.wanted) << c.text;
}

TEST(Facets, Mentions) {
  const Case cases[] = {
      {"@alice.example hi", "[@alice.example](M did:web:alice.example) hi"},
      {"(@Alice.Example.)", "([@Alice.Example](M did:web:alice.example).)"},
      {"é @bob.test, @bob.test",
       "é [@bob.test](M did:web:bob.test), [@bob.test](M did:web:bob.test)"},
      {"@x-y.co.uk's", "[@x-y.co.uk](M did:web:x-y.co.uk)'s"},
      {"“@bob.test”", "“[@bob.test](M did:web:bob.test)”"},
      {"@nobody.example", "@nobody.example"},
      {"@alice", "@alice"},
      {"mail@alice.example", "mail@alice.example"},
      {"@bob@alice.example", "@bob@alice.example"},
      {"@alice.example@elsewhere.example", "@alice.example@elsewhere.example"},
      {"@alice.exampleé", "@alice.exampleé"},
      {"/@alice.example", "/@alice.example"},
      {"@ alice.example @", "@ alice.example @"},
  };
  for (const Case& c : cases) EXPECT_EQ(found(c.text), c.wanted) << c.text;
}

TEST(Facets, Tags) {
  const Case cases[] = {
      {"#tag", "[#tag](T tag)"},
      {"a #Tag, #zwei!", "a [#Tag](T Tag), [#zwei](T zwei)!"},
      {"＃日本語 だ", "[＃日本語](T 日本語) だ"},
      {"#2024 #4chan #no1", "#2024 [#4chan](T 4chan) [#no1](T no1)"},
      {"#a_b-c.d #...", "[#a_b-c.d](T a_b-c.d) #..."},
      {"a#b c/#d", "a#b c/#d"},
      {"# #", "# #"},
      {"#️⃣ #🏔️", "#️⃣ [#🏔️](T 🏔️)"},
      {"#Grüße\n#née", "[#Grüße](T Grüße)\n[#née](T née)"},
  };
  for (const Case& c : cases) EXPECT_EQ(found(c.text), c.wanted) << c.text;
  const std::string longest(64, 'a');
  EXPECT_EQ(found("#" + longest), "[#" + longest + "](T " + longest + ")");
  EXPECT_EQ(found("#a" + longest), "#a" + longest);
}

TEST(Facets, WithoutAResolverMentionsAreText) {
  const auto rich = make_rich_text("@alice.example");
  ASSERT_TRUE(rich);
  EXPECT_TRUE(rich->facets.empty());
}

TEST(Facets, TheResolverIsAskedOnceAHandleAndItsErrorsPass) {
  int asked = 0;
  RichTextOptions options;
  options.did_of_handle = [&](const std::string&) -> Result<std::optional<std::string>> {
    ++asked;
    return kAlice;
  };
  ASSERT_TRUE(make_rich_text("@alice.example @ALICE.example @bob.test", options));
  EXPECT_EQ(asked, 2);
  options.did_of_handle = [](const std::string&) -> Result<std::optional<std::string>> {
    return fail({.code = ErrorCode::kTimeout, .problem = "too slow"});
  };
  EXPECT_FALSE(make_rich_text("@alice.example", options));
  EXPECT_TRUE(make_rich_text("nobody", options));
  EXPECT_EQ(mentioned_handles("@Bob.test, @alice.example @bob.test a@b.c"),
            (std::vector<std::string>{"bob.test", "alice.example"}));
}

TEST(Facets, BytesAreOfCharactersWholeWhateverComes) {
  // Texts of pieces that are near to what is looked for, broken UTF-8 among them.
  const char* const pieces[] = {"https://", "a.example", "@", "#",           "é", "🏔️",
                                " ",        ".",         "/", "(",           ")", "\xC3",
                                "\n",       "＃",        "x", "\xE2\x80\x8D"};
  std::uint32_t state = 1;
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      state = state * 1664525 + 1013904223;
      text += pieces[(state >> 20) % std::size(pieces)];
    }
    RichTextOptions options{.shorten_links = round % 2 == 0};
    options.did_of_handle = [](const std::string& handle) -> Result<std::optional<std::string>> {
      return "did:web:" + handle;
    };
    const auto rich = make_rich_text(text, options);
    ASSERT_TRUE(rich);
    std::size_t least = 0;
    for (const Facet& facet : rich->facets) {
      ASSERT_GE(facet.begin, least);
      ASSERT_LT(facet.begin, facet.end);
      ASSERT_LE(facet.end, rich->text.size());
      for (const std::size_t at : {facet.begin, facet.end}) {
        const bool inside = at < rich->text.size();
        ASSERT_FALSE(inside && (static_cast<unsigned char>(rich->text[at]) & 0xC0) == 0x80) << text;
      }
      least = facet.end;
    }
    ASSERT_TRUE(options.shorten_links || rich->text == text);
  }
}

}  // namespace
}  // namespace bobby::bluesky
