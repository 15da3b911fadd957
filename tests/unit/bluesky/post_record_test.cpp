// The record of a post: what it looks like, and every limit that is checked before it is sent.

#include "bluesky/post_record.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bluesky/language_tag.h"
#include "bluesky/record_formats.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

const std::string kDid = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const std::string kCid = "bafyreihgi2xkffzdzsxkgq2bqvlqhxvzcrhdbhgrbzofczvkwcxk2k6h4q";

PostFields fields(std::string text) {
  PostFields post;
  post.content.text = std::move(text);
  post.created_at = std::chrono::system_clock::time_point(std::chrono::milliseconds(1764345600042));
  return post;
}

std::string problem(const PostFields& post) {
  const auto made = make_post_record(post);
  return made ? "made" : made.error().to_string();
}

TEST(PostRecord, HoldsWhatWasAskedFor) {
  PostFields post = fields("Grüße an @bob und https...");
  post.content.facets = {{11, 15, FacetKind::kMention, kDid},
                         {20, 28, FacetKind::kLink, "https://example.com/a"}};
  post.langs = {"de"};
  post.tags = {"Berge"};
  post.labels = {"graphic-media"};
  post.card = Card{"https://example.com/a", "A page", ""};
  post.reply = ReplyTo{{"at://" + kDid + "/app.bsky.feed.post/3jzfcijpj2z2a", kCid},
                       {"at://" + kDid + "/app.bsky.feed.post/3jzfcijpj2z2b", kCid}};
  const auto record = make_post_record(post);
  ASSERT_TRUE(record) << record.error().to_string();
  const std::string ref = R"({"cid":")" + kCid + R"(","uri":"at://)" + kDid;
  EXPECT_EQ(*record,
            R"({"$type":"app.bsky.feed.post","createdAt":"2025-11-28T16:00:00.042Z",)"
            R"("embed":{"$type":"app.bsky.embed.external","external":{"description":"",)"
            R"("title":"A page","uri":"https://example.com/a"}},)"
            R"("facets":[{"features":[{"$type":"app.bsky.richtext.facet#mention","did":")" +
                kDid + R"("}],"index":{"byteEnd":15,"byteStart":11}},)" +
                R"({"features":[{"$type":"app.bsky.richtext.facet#link",)"
                R"("uri":"https://example.com/a"}],"index":{"byteEnd":28,"byteStart":20}}],)"
                R"("labels":{"$type":"com.atproto.label.defs#selfLabels",)"
                R"("values":[{"val":"graphic-media"}]},"langs":["de"],)"
                R"("reply":{"parent":)" +
                ref + R"(/app.bsky.feed.post/3jzfcijpj2z2b"},"root":)" + ref +
                R"(/app.bsky.feed.post/3jzfcijpj2z2a"}},)" +
                R"("tags":["Berge"],"text":"Grüße an @bob und https..."})");
  EXPECT_TRUE(check_post_record(*record));
  const auto text = post_text(*record);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->text, post.content.text);
  EXPECT_EQ(text->graphemes, 26);
}

TEST(PostRecord, ThreeHundredGraphemesAndThreeThousandBytes) {
  const auto repeated = [](int count, const char* text) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  EXPECT_TRUE(make_post_record(fields(repeated(300, "a"))));
  EXPECT_TRUE(make_post_record(fields(repeated(300, "é"))));
  EXPECT_TRUE(
      make_post_record(fields(repeated(120, "👩‍👩‍👧‍👦"))));  // 25 bytes each
  EXPECT_EQ(problem(fields(repeated(301, "é"))),
            "record: key 'text': is too long: expected at most 300 graphemes, found 301");
  EXPECT_EQ(problem(fields(repeated(121, "👩‍👩‍👧‍👦"))),
            "record: key 'text': is too long: expected at most 3000 bytes, found 3025");
  EXPECT_NE(problem(fields("")).find("some words"), std::string::npos);
  EXPECT_NE(problem(fields("a\xC3")).find("no valid UTF-8"), std::string::npos);
  PostFields card = fields("");
  card.card = Card{"https://example.com", "", ""};
  EXPECT_TRUE(make_post_record(card));
}

TEST(PostRecord, EveryOtherLimit) {
  const auto refused = [](auto change, const std::string& wanted) {
    PostFields post = fields("grün");
    change(post);
    EXPECT_NE(problem(post).find(wanted), std::string::npos) << problem(post) << " / " << wanted;
  };
  refused([](auto& p) { p.langs = {"de", "en", "fr", "it"}; }, "at most 3 languages, found 4");
  refused([](auto& p) { p.langs = {"deutsch-"}; }, "BCP 47");
  refused([](auto& p) { p.tags.assign(9, "x"); }, "at most 8 tags, found 9");
  refused([](auto& p) { p.tags = {std::string(65, 'x')}; }, "at most 64 graphemes, found 65");
  refused([](auto& p) { p.tags = {""}; }, "a tag without");
  refused([](auto& p) { p.labels.assign(11, "x"); }, "at most 10 labels, found 11");
  refused([](auto& p) { p.labels = {std::string(129, 'x')}; }, "at most 128 bytes, found 129");
  refused([](auto& p) { p.card = Card{"example.com", "", ""}; }, "embed.external.uri");
  refused(
      [](auto& p) {
        p.reply = ReplyTo{{"at://x/y/z", kCid}, {"at://x/y/z", "?"}};
      },
      "reply.parent.cid");
  refused(
      [](auto& p) {
        p.content.facets = {{0, 6, FacetKind::kTag, "x"}};
      },
      "bytes of the text's 5");
  refused([](auto& p) { p.content.facets = {{2, 2, FacetKind::kTag, "x"}}; }, "facets[0].index");
  refused(
      [](auto& p) {
        p.content.facets = {{0, 3, FacetKind::kTag, "x"}};
      },
      "bytes at which characters begin");
  refused(
      [](auto& p) {
        p.content.facets = {{0, 2, FacetKind::kTag, "x"}, {1, 2, FacetKind::kTag, "x"}};
      },
      "facets[1].index': is not what a post may have there: expected facets in order");
  refused([](auto& p) { p.content.facets = {{0, 2, FacetKind::kMention, "@bob"}}; }, "a DID");
  refused([](auto& p) { p.content.facets = {{0, 2, FacetKind::kLink, "no url"}}; }, "a whole URL");
  refused(
      [](auto& p) {
        p.content.facets = {{0, 2, FacetKind::kTag, std::string(641, 'x')}};
      },
      "at most 640 bytes");
}

TEST(PostRecord, AllThatIsWrongIsSaidAtOnce) {
  PostFields post = fields(std::string(301, 'a'));
  post.langs = {"de", "en", "fr", "it"};
  post.tags = {""};
  const auto made = make_post_record(post);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().also.size(), 2U);
}

TEST(PostRecord, OtherRecordsAreRefusedWhateverTheyHold) {
  const char* const records[] = {
      "",
      "[]",
      "null",
      "{",
      R"({"$type":"app.bsky.feed.like"})",
      R"({"$type":"app.bsky.feed.post","text":7,"createdAt":"2025-11-28T16:00:00Z"})",
      R"({"$type":"app.bsky.feed.post","text":"a","createdAt":"yesterday"})",
      R"({"$type":"app.bsky.feed.post","text":"a","createdAt":"2025-11-28T16:00:00Z","facets":{}})",
      R"({"$type":"app.bsky.feed.post","text":"a","createdAt":"2025-11-28T16:00:00Z","facets":[1]})",
      R"({"$type":"app.bsky.feed.post","text":"a","createdAt":"2025-11-28T16:00:00Z","facets":
         [{"index":{"byteStart":-1,"byteEnd":1},"features":[{"$type":"x"}]}]})",
      R"({"$type":"app.bsky.feed.post","text":"a","createdAt":"2025-11-28T16:00:00Z","langs":"en"})",
      R"({"$type":"app.bsky.feed.post","text":"a","createdAt":"2025-11-28T16:00:00Z","labels":null})",
      R"({"$type":"app.bsky.feed.post","text":"a","createdAt":"2025-11-28T16:00:00Z","embed":"x"})",
      R"({"$type":"app.bsky.feed.post","text":"a","createdAt":"2025-11-28T16:00:00Z","reply":[]})",
  };
  for (const char* record : records) EXPECT_FALSE(check_post_record(record)) << record;
  EXPECT_TRUE(check_post_record(
      R"({"$type":"app.bsky.feed.post","text":"a","createdAt":"2025-11-28T16:00:00+01:00"})"));
  EXPECT_FALSE(check_post_record(std::string(2'000'000, ' ')));
}

TEST(PostRecord, TheSameRecordWhateverItsOrder) {
  EXPECT_TRUE(same_record(R"({"a":1,"b":[2]})", R"({ "b":[2], "a":1 })"));
  EXPECT_FALSE(same_record(R"({"a":1})", R"({"a":2})"));
  EXPECT_FALSE(same_record("", ""));
}

TEST(RecordFormats, Times) {
  for (const char* text :
       {"2025-11-28T16:00:00Z", "2024-02-29T23:59:59.123456789-05:30", "1985-04-12T23:20:50.1Z"})
    EXPECT_TRUE(is_record_time(text)) << text;
  for (const char* text :
       {"", "2025-11-28", "2025-11-28T16:00:00", "2025-02-29T16:00:00Z", "2025-11-28 16:00:00Z",
        "2025-11-28T24:00:00Z", "2025-11-28T16:00:60Z", "2025-11-28T16:00:00.Z",
        "2025-13-01T00:00:00Z", "2025-11-28T16:00:00-00:00", "2025-11-28T16:00:00z",
        "2025-11-28T16:00:00+1:00", "25-11-28T16:00:00Z"})
    EXPECT_FALSE(is_record_time(text)) << text;
}

TEST(RecordFormats, LanguageTags) {
  for (const char* text :
       {"de", "en-US", "zh-Hant-TW", "sl-rozaj-biske-1994", "de-CH-1901", "es-419", "x-voice",
        "en-a-bbb-x-a", "zh-cmn-Hans-CN", "jpn", "abcd", "abcde"})
    EXPECT_TRUE(is_language_tag(text)) << text;
  for (const char* text : {"", "a", "de-", "-de", "de--CH", "de_CH", "deutschland", "en-a", "x",
                           "de-419-DE", "en-u", "ä", "12", "en-x"})
    EXPECT_FALSE(is_language_tag(text)) << text;
}

TEST(RecordFormats, Uris) {
  EXPECT_EQ(parse_record_uri("at://" + kDid + "/app.bsky.feed.post/self").key, "self");
  for (const std::string& text :
       {std::string("at://"), "at://" + kDid, "at://" + kDid + "/a.b.c", "at://" + kDid + "/a.b.c/",
        "at://" + kDid + "/a.b.c/d/e", std::string("at://alice.example/a.b.c/d")})
    EXPECT_TRUE(parse_record_uri(text).key.empty()) << text;
  EXPECT_TRUE(is_uri("https://example.com"));
  EXPECT_TRUE(is_uri("mailto:a@b"));
  for (const char* text :
       {"", "example.com", "https://", "https:// a", "https:///a", ":x", "a b:c"})
    EXPECT_FALSE(is_uri(text)) << text;
}

}  // namespace
}  // namespace bobby::bluesky
