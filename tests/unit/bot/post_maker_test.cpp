#include "bot/post_maker.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace bobby::bot {
namespace {

using nlohmann::json;

constexpr store::Moment kNoon = 1'764'331'651'042;  // 2025-11-28T12:07:31.042Z

PostMaker maker(FilterConfig config = {}, PostStyle style = {}) {
  return {Filter::make(config).value(), std::move(style)};
}

TEST(PostMaker, MakesTheWholeRecord) {
  const auto record =
      maker({}, {.langs = {"de", "en"}})
          .record("Grüße, https://example.com/a-path-that-is-long-enough #ok", kNoon);
  ASSERT_TRUE(record) << record.error().to_string();
  const json post = json::parse(*record);
  EXPECT_EQ(post["$type"], "app.bsky.feed.post");
  EXPECT_EQ(post["createdAt"], "2025-11-28T12:07:31.042Z");
  EXPECT_EQ(post["langs"], json({"de", "en"}));
  ASSERT_EQ(post["facets"].size(), 2u);
  EXPECT_EQ(post["facets"][0]["index"]["byteStart"], 9);  // of bytes: "Grüße" has seven
  EXPECT_EQ(post["facets"][0]["features"][0]["uri"],
            "https://example.com/a-path-that-is-long-enough");
  EXPECT_EQ(post["facets"][1]["features"][0]["tag"], "ok");
}

TEST(PostMaker, ItIsTheSameForTheSameTextAndTime) {
  EXPECT_EQ(maker().record("once", kNoon).value(), maker().record("once", kNoon).value());
}

TEST(PostMaker, ThePreviewIsWhatReadersSee) {
  const auto preview =
      maker().preview("@anna.example.org, look: https://example.com/a-path-that-is-long-enough");
  ASSERT_TRUE(preview) << preview.error().to_string();
  EXPECT_EQ(preview->mentioned, std::vector<std::string>{"anna.example.org"});
  EXPECT_EQ(preview->text.find('@'), std::string::npos);
  EXPECT_EQ(preview->text.find("long-enough"), std::string::npos) << "the link is shortened";
  EXPECT_NE(preview->filtered.find("long-enough"), std::string::npos);
  EXPECT_LT(preview->graphemes, 60);
}

TEST(PostMaker, TheFilterNamesEachRule) {
  const PostMaker strict = maker({.deny = {{"crap", "deny.txt:3"}, {"re:free\\s+money", "deny"}}});
  const auto refused = strict.preview("c.r.a.p for free money");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  const std::string words = refused.error().to_string();
  EXPECT_NE(words.find("deny.txt:3"), std::string::npos) << words;
  EXPECT_NE(words.find("free money"), std::string::npos) << words;
  EXPECT_FALSE(strict.record("c.r.a.p", kNoon));
}

TEST(PostMaker, LimitsAreSaidBeforeAnythingIsSent) {
  std::string text;
  for (int i = 0; i < 301; ++i) text += "é";
  const auto refused = maker().preview(text);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  EXPECT_FALSE(may_pass(refused.error()));
  EXPECT_FALSE(maker({}, {.langs = {"de", "en", "fr", "it"}}).preview("too many languages"));
  EXPECT_FALSE(maker().preview(""));
  EXPECT_FALSE(maker().preview("@anna.example.org ")) << "nothing is left of it";
}

TEST(PostMaker, MentionsThatStandAreResolvedWhenItIsSent) {
  int asked = 0;
  const PostMaker kept =
      maker({.mentions = MentionRule::kKeep}, {.did_of_handle = [&](const std::string&) {
              ++asked;
              return std::optional<std::string>("did:plc:ragtjsm2j2vknwkz3zp4oxrd");
            }});
  ASSERT_TRUE(kept.preview("hello @anna.example.org"));
  EXPECT_EQ(asked, 0);
  const json post = json::parse(kept.record("hello @anna.example.org", kNoon).value());
  EXPECT_EQ(post["facets"][0]["features"][0]["did"], "did:plc:ragtjsm2j2vknwkz3zp4oxrd");
  EXPECT_EQ(asked, 1);
}

TEST(PostMaker, AServerThatCannotBeAskedIsNoRefusal) {
  const PostMaker kept =
      maker({.mentions = MentionRule::kKeep},
            {.did_of_handle = [](const std::string&) -> Result<std::optional<std::string>> {
              return fail({.code = ErrorCode::kTimeout, .problem = "no answer"});
            }});
  const auto record = kept.record("hello @anna.example.org", kNoon);
  ASSERT_FALSE(record);
  EXPECT_TRUE(may_pass(record.error()));
}

}  // namespace
}  // namespace bobby::bot
