// Listing an account's records page by page, from servers that do it right and others.

#include "bluesky/records.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <vector>

namespace bobby::bluesky {
namespace {

using nlohmann::json;

json record(const std::string& key) {
  return {{"uri", "at://did:web:a.example/app.bsky.feed.post/" + key},
          {"cid", "bafy"},
          {"value", {{"text", key}}}};
}

class RecordsTest : public testing::Test {
 protected:
  Result<void> list(const std::vector<std::string>& pages) {
    asked_.clear();
    uris_.clear();
    return list_records(
        [&](const std::string& url) -> Result<net::Answer> {
          asked_.push_back(url);
          const std::size_t page = std::min(asked_.size(), pages.size()) - 1;
          return net::Answer{.status = status_, .body = pages[page], .wait = {}};
        },
        {.did = "did:web:a.example", .handle = "", .service = "https://pds.example"},
        "app.bsky.feed.post",
        [&](std::string_view uri, std::string_view value) -> Result<void> {
          EXPECT_TRUE(json::parse(value).is_object());
          uris_.emplace_back(uri.substr(uri.rfind('/') + 1));
          if (uris_.size() == stop_at_) return fail({.problem = "enough"});
          return {};
        });
  }

  std::string problem(const std::vector<std::string>& pages) {
    const auto done = list(pages);
    return done ? "nothing" : done.error().to_string();
  }

  int status_ = 200;
  std::size_t stop_at_ = 0;
  std::vector<std::string> asked_;
  std::vector<std::string> uris_;
};

json page(const std::vector<json>& records, const json& cursor = nullptr) {
  json made = {{"records", records}};
  if (!cursor.is_null()) made["cursor"] = cursor;
  return made;
}

TEST_F(RecordsTest, FollowsTheCursorToTheEnd) {
  const auto done = list({page({record("1"), record("2")}, "a&b").dump(),
                          page({record("3")}, "c").dump(), page({}).dump()});
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(uris_, (std::vector<std::string>{"1", "2", "3"}));
  const std::string first =
      "https://pds.example/xrpc/com.atproto.repo.listRecords?repo=did%3Aweb%3Aa.example"
      "&collection=app.bsky.feed.post&limit=100&reverse=true";
  EXPECT_EQ(asked_,
            (std::vector<std::string>{first, first + "&cursor=a%26b", first + "&cursor=c"}));
}

TEST_F(RecordsTest, EndsWhereAServerWouldNot) {
  EXPECT_NE(problem({page({record("1")}, "same").dump()}).find("same cursor"), std::string::npos);
  EXPECT_EQ(asked_.size(), 2U);
  EXPECT_EQ(problem({page({}, "x").dump()}), "nothing");
  EXPECT_EQ(asked_.size(), 1U);
}

TEST_F(RecordsTest, WhatIsNoListIsRefused) {
  EXPECT_NE(problem({"{}"}).find("without a list"), std::string::npos);
  EXPECT_NE(problem({R"({"records": 1})"}).find("without a list"), std::string::npos);
  EXPECT_NE(problem({R"({"records": [1]})"}).find("without 'uri'"), std::string::npos);
  EXPECT_NE(problem({R"({"records": [{"uri": "a"}]})"}).find("without 'uri'"), std::string::npos);
  EXPECT_NE(problem({"<html>"}).find("other than a JSON object"), std::string::npos);
}

TEST_F(RecordsTest, AServersOwnWordsAreShown) {
  status_ = 400;
  const auto done =
      list({R"({"error": "RepoNotFound", "message": "Could not find repo:\u001b[31m x"})"});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(done.error().to_string(),
            "https://pds.example/xrpc/com.atproto.repo.listRecords: answers with status 400: "
            "RepoNotFound: Could not find repo: [31m x");
  status_ = 503;
  EXPECT_NE(problem({"<html>"}).find("status 503"), std::string::npos);
}

TEST_F(RecordsTest, TheSinkMayEndIt) {
  stop_at_ = 1;
  EXPECT_EQ(problem({page({record("1"), record("2")}).dump()}), "enough");
  EXPECT_EQ(uris_.size(), 1U);
}

}  // namespace
}  // namespace bobby::bluesky
