// What a post's record becomes: its words with their links in full, and what is known of it.

#include "data/bluesky/post_record.h"

#include <gtest/gtest.h>
#include <optional>
#include <vector>

#include "data/bluesky/record_source.h"
#include "unit/data/bluesky/repo_builder.h"

namespace bobby::data {
namespace {

using nlohmann::json;

json facet(std::size_t begin, std::size_t end, const json& feature) {
  return {{"index", {{"byteStart", begin}, {"byteEnd", end}}},
          {"features", json::array({feature})}};
}

json link_facet(const std::string& text, const std::string& shown, const std::string& uri) {
  const std::size_t begin = text.find(shown);
  return facet(begin, begin + shown.size(),
               {{"$type", "app.bsky.richtext.facet#link"}, {"uri", uri}});
}

std::string expanded(const std::string& text, const std::vector<json>& facets) {
  return expand_links(text, {{"facets", facets}}).text;
}

TEST(ExpandLinks, WritesShortenedLinksInFull) {
  const std::string text = "grün: example.com/a-long-pa... und example.org";
  const std::string full = "https://www.example.com/a-long-path/to?some=thing";
  EXPECT_EQ(expanded(text, {link_facet(text, "example.org", "https://example.org/"),
                            link_facet(text, "example.com/a-long-pa...", full)}),
            "grün: " + full + " und https://example.org/");
  const std::string other = "read example.com/x… now";
  EXPECT_EQ(expanded(other, {link_facet(other, "example.com/x…", "http://EXAMPLE.com/xyz")}),
            "read http://EXAMPLE.com/xyz now");
}

TEST(ExpandLinks, LeavesOtherWordsAlone) {
  const std::string text = "see this, @alice.test and https://example.com/";
  const auto same = [&](const std::vector<json>& facets) {
    const ExpandedText done = expand_links(text, {{"facets", facets}});
    return done.text == text && done.links == 0;
  };
  EXPECT_TRUE(same({link_facet(text, "this", "https://example.com/")}));
  EXPECT_TRUE(same({link_facet(text, "https://example.com/", "https://example.com/")}));
  EXPECT_TRUE(same({facet(10, 21, {{"$type", "app.bsky.richtext.facet#mention"}, {"did", kDid}})}));
  EXPECT_TRUE(same({link_facet(text, "this", "this is no link")}));
  EXPECT_TRUE(same({link_facet(text, "https", "javascript:alert(1)")}));
  EXPECT_TRUE(same({1, "x", json::object(), {{"index", 1}, {"features", 2}}}));
}

TEST(ExpandLinks, WhatIsNoListOfFacetsChangesNothing) {
  EXPECT_EQ(expand_links("words", {{"facets", "not a list"}}).text, "words");
  EXPECT_EQ(expand_links("words", json::object()).text, "words");
}

TEST(ExpandLinks, FacetsThatDoNotFitTheirTextChangeNothing) {
  const std::string text = "ü example.com";
  const json link = {{"$type", "app.bsky.richtext.facet#link"}, {"uri", "https://example.com/x"}};
  for (const auto& [begin, end] : {std::pair{3, 99}, {5, 3}, {3, 3}, {1, 14}})
    EXPECT_EQ(expanded(text, {facet(static_cast<std::size_t>(begin), static_cast<std::size_t>(end),
                                    link)}),
              text);
  json negative = facet(3, 14, link);
  negative["index"]["byteStart"] = -3;
  EXPECT_EQ(expanded(text, {negative}), text);
  EXPECT_EQ(expanded(text, {facet(3, 14, link), facet(3, 14, link)}), "ü https://example.com/x")
      << "two over one another: the first alone";
}

class PostRecordsTest : public testing::Test {
 protected:
  std::optional<SourcePost> take(const json& record) {
    post_.reset();
    counts_ = {};
    const PostSink sink = [&](SourcePost post) -> Result<void> {
      post_ = std::move(post);
      return {};
    };
    PostRecords records(kDid, counts_, sink);
    EXPECT_TRUE(records.take("3kabc", record));
    EXPECT_EQ(counts_.read, 1U);
    return post_;
  }

  std::string left_out(const json& record) {
    EXPECT_FALSE(take(record));
    return counts_.left_out.size() == 1 ? counts_.left_out.begin()->first : "nothing, or more";
  }

  static json reference(const std::string& did, const std::string& collection) {
    return {{"uri", "at://" + did + "/" + collection + "/3k2"}, {"cid", "bafy"}};
  }
  static json reply(const std::string& root, const std::string& parent) {
    json record = post("words");
    record["reply"] = {{"root", reference(root, "app.bsky.feed.post")},
                       {"parent", reference(parent, "app.bsky.feed.post")}};
    return record;
  }

  std::optional<SourcePost> post_;
  SourceCounts counts_;
};

TEST_F(PostRecordsTest, HandsOnWhatIsKnown) {
  json record = post("Grüße", "2024-02-29T12:00:00.123+01:00");
  record["langs"] = {"de", "en"};
  const auto found = take(record);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text, "Grüße");
  EXPECT_EQ(found->id, "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3kabc");
  EXPECT_EQ(found->time, 1709204400);
  EXPECT_EQ(found->language, "de");
  EXPECT_FALSE(found->reply);
  EXPECT_FALSE(found->quote);
  EXPECT_TRUE(found->prompt.empty());
}

TEST_F(PostRecordsTest, WhatIsClaimedWronglyIsUnknown) {
  json record = post("words", "yesterday");
  record["langs"] = {1};
  const auto found = take(record);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->time, 0);
  EXPECT_EQ(found->language, "");
}

TEST_F(PostRecordsTest, AThreadOfOnesOwnIsNoAnswer) {
  const std::string other = "did:plc:zzzzzzzzzzzzzzzzzzzzzzzz";
  EXPECT_TRUE(take(reply(other, other))->reply);
  EXPECT_TRUE(take(reply(other, kDid))->reply);
  EXPECT_TRUE(take(reply(kDid, other))->reply);
  EXPECT_FALSE(take(reply(kDid, kDid))->reply);
  json odd = post("words");
  odd["reply"] = "odd";
  EXPECT_TRUE(take(odd)->reply);
}

TEST_F(PostRecordsTest, AQuoteIsAPostThatShowsAnother) {
  const auto with = [&](const json& embed) {
    json record = post("words");
    record["embed"] = embed;
    return take(record)->quote;
  };
  const json quoted = reference(kDid, "app.bsky.feed.post");
  EXPECT_TRUE(with({{"$type", "app.bsky.embed.record"}, {"record", quoted}}));
  EXPECT_TRUE(with({{"$type", "app.bsky.embed.recordWithMedia"},
                    {"record", {{"$type", "app.bsky.embed.record"}, {"record", quoted}}}}));
  EXPECT_FALSE(with({{"$type", "app.bsky.embed.record"},
                     {"record", reference(kDid, "app.bsky.feed.generator")}}));
  EXPECT_FALSE(with({{"$type", "app.bsky.embed.images"}, {"images", json::array()}}));
  EXPECT_FALSE(
      with({{"$type", "app.bsky.embed.external"}, {"external", {{"uri", "https://example.com"}}}}));
  EXPECT_FALSE(with(1));
}

TEST_F(PostRecordsTest, WhatIsLeftOutIsCounted) {
  EXPECT_EQ(left_out(post("")), "a picture or a link, without words");
  EXPECT_EQ(left_out(post(" \n")), "a picture or a link, without words");
  EXPECT_EQ(left_out({{"$type", "app.bsky.feed.post"}}), "without text");
  EXPECT_EQ(left_out({{"$type", "app.bsky.feed.post"}, {"text", 1}}), "without text");
  EXPECT_EQ(left_out({{"text", "words"}}), "a record that does not say it is a post");
  EXPECT_EQ(left_out(json(1)), "a record that does not say it is a post");
}

class RecordSourceTest : public testing::Test {
 protected:
  Result<void> read(const std::vector<std::pair<std::string, std::string>>& records) {
    texts_.clear();
    report_ = {};
    const auto source = listed_bluesky_posts(
        kDid, [&](const ListedRecordSink& sink, const ProgressFn&) -> Result<void> {
          for (const auto& [uri, value] : records) BOBBY_CHECK(sink(uri, value));
          return {};
        });
    return source->read(
        [&](const SourcePost& post) -> Result<void> {
          texts_.push_back(post.text);
          return {};
        },
        report_, {.progress = {}, .temporary_folder = {}});
  }

  static std::string uri(const std::string& key) {
    return std::string("at://") + kDid + "/app.bsky.feed.post/" + key;
  }

  std::vector<std::string> texts_;
  SourceReport report_;
};

TEST_F(RecordSourceTest, ReadsWhatAServerLists) {
  ASSERT_TRUE(read({{uri("3k1"), post("one").dump()}, {uri("3k2"), post("two").dump()}}));
  EXPECT_EQ(texts_, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(report_.counts.read, 2U);
}

TEST_F(RecordSourceTest, ListsThatCannotBeAreRefused) {
  const std::string words = post("words").dump();
  for (const auto& [records, why] :
       std::vector<std::pair<std::vector<std::pair<std::string, std::string>>, std::string>>{
           {{{"at://did:plc:other/app.bsky.feed.post/3k1", words}}, "not a post of this account"},
           {{{uri("3k2"), words}, {uri("3k1"), words}}, "out of order"},
           {{{uri("3k2"), words}, {uri("3k2"), words}}, "listed twice"},
           {{{uri("3k1"), "{"}}, "no JSON object"},
           {{{uri("3k1"), "[]"}}, "no JSON object"}}) {
    const auto done = read(records);
    ASSERT_FALSE(done) << why;
    EXPECT_NE(done.error().to_string().find(why), std::string::npos) << done.error().to_string();
  }
}

}  // namespace
}  // namespace bobby::data
