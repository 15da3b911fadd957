// What is known of a write after each fault, and that a post comes to be once whatever happens.

#include "bluesky/repository.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bluesky/drafts.h"
#include "bluesky/labels.h"
#include "bluesky/tid.h"
#include "unit/bluesky/account_folder_fixture.h"
#include "unit/bluesky/stub_server.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

const std::string kCollection = "app.bsky.feed.post";

class RepositoryTest : public AccountFolderTest {
 protected:
  void SetUp() override {
    AccountFolderTest::SetUp();
    ASSERT_TRUE(Session::log_in(server_.settings(folder_), StubServer::account(),
                                {.password = StubServer::kPassword}));
    auto session = Session::open(server_.settings(folder_));
    ASSERT_TRUE(session);
    session_.emplace(*std::move(session));
    repository_.emplace(*session_);
    PostFields fields;
    fields.content.text = "Grüße";
    fields.created_at = server_.now;
    post_ = *make_post_record(fields);
  }

  StubServer server_;
  std::optional<Session> session_;
  std::optional<Repository> repository_;
  std::string post_;
  TidClock clock_{7};
};

TEST_F(RepositoryTest, APostIsMadeAndFound) {
  const std::string key = clock_.next(server_.now);
  const auto none = repository_->get(kCollection, key);
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  const WriteResult made = repository_->create(kCollection, key, post_);
  ASSERT_EQ(made.verdict.outcome, Outcome::kDone) << made.verdict.error.to_string();
  EXPECT_EQ(made.record.uri,
            std::string("at://") + StubServer::kDid + "/" + kCollection + "/" + key);
  const auto found = repository_->get(kCollection, key);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->ref.cid, made.record.cid);
  EXPECT_TRUE(same_record((*found)->value, post_));
  // The same again: as a real server says it, with a 500.
  EXPECT_EQ(repository_->create(kCollection, key, post_).verdict.outcome, Outcome::kUnknown);
  EXPECT_EQ(server_.commits[kCollection + "/" + key], 1);
}

TEST_F(RepositoryTest, EachFaultIsWhatItIs) {
  const struct {
    Fault fault;
    Outcome outcome;
    bool is_there;
  } cases[] = {
      {Fault::kNoConnection, Outcome::kLater, false},
      {Fault::kRequestLost, Outcome::kUnknown, false},
      {Fault::kAnswerLost, Outcome::kUnknown, true},
      {Fault::kAnswerGarbled, Outcome::kUnknown, true},
      {Fault::kServerError, Outcome::kUnknown, false},
      {Fault::kDoneThenError, Outcome::kUnknown, true},
      {Fault::kForeignRefusal, Outcome::kUnknown, false},
      {Fault::kTooMany, Outcome::kLater, false},
  };
  for (const auto& c : cases) {
    const std::string key = clock_.next(server_.now);
    server_.faults_of["createRecord"] = {c.fault};
    const WriteResult made = repository_->create(kCollection, key, post_);
    EXPECT_EQ(made.verdict.outcome, c.outcome) << static_cast<int>(c.fault);
    EXPECT_FALSE(made.verdict.error.to_string().empty());
    EXPECT_FALSE(made.verdict.needs_person);
    const auto found = repository_->get(kCollection, key);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->has_value(), c.is_there) << static_cast<int>(c.fault);
    server_.now += std::chrono::minutes(2);
  }
}

TEST_F(RepositoryTest, WhateverGoesWrongAPostIsThereOnce) {
  constexpr int kPosts = 60;
  constexpr Fault kFaults[] = {Fault::kNone,          Fault::kNoConnection,  Fault::kRequestLost,
                               Fault::kAnswerLost,    Fault::kAnswerGarbled, Fault::kServerError,
                               Fault::kDoneThenError, Fault::kForeignRefusal};
  std::uint32_t state = 7;
  const auto drawn = [&](std::uint32_t count) {
    state = state * 1664525 + 1013904223;
    return (state >> 16) % count;
  };
  for (int number = 0; number < kPosts; ++number) {
    const std::string key = clock_.next(server_.now);
    bool is_there = false;
    for (int round = 0; round < 100 && !is_there; ++round) {
      server_.now += std::chrono::seconds(20);
      server_.faults.clear();
      for (int i = 0; i < 4; ++i) server_.faults.push_back(kFaults[drawn(std::size(kFaults))]);
      const WriteResult made = repository_->create(kCollection, key, post_);
      ASSERT_NE(made.verdict.outcome, Outcome::kRefused) << made.verdict.error.to_string();
      is_there = made.verdict.outcome == Outcome::kDone;
      if (made.verdict.outcome != Outcome::kUnknown) continue;
      const auto found = repository_->get(kCollection, key);
      is_there = found && *found;
    }
    ASSERT_TRUE(is_there);
    ASSERT_EQ(server_.commits[kCollection + "/" + key], 1);
  }
  EXPECT_EQ(server_.records.size(), static_cast<std::size_t>(kPosts));
}

TEST_F(RepositoryTest, WhatIsNoPostIsNotSent) {
  const auto asked = server_.asked.size();
  const std::string key = clock_.next(server_.now);
  EXPECT_EQ(repository_->create(kCollection, key, "{}").verdict.outcome, Outcome::kRefused);
  EXPECT_EQ(repository_->create(kCollection, "a/b", post_).verdict.outcome, Outcome::kRefused);
  EXPECT_EQ(repository_->create(kCollection, "", post_).verdict.outcome, Outcome::kRefused);
  EXPECT_EQ(repository_->put("a.b.c", key, "7").verdict.outcome, Outcome::kRefused);
  EXPECT_EQ(repository_->apply({}).verdict.outcome, Outcome::kRefused);
  EXPECT_FALSE(repository_->get("a b", key));
  EXPECT_EQ(server_.asked.size(), asked);
}

TEST_F(RepositoryTest, TroubleWithTheAccountIsNotThePosts) {
  server_.status = "AccountDeactivated";
  const WriteResult made = repository_->create(kCollection, clock_.next(server_.now), post_);
  EXPECT_EQ(made.verdict.outcome, Outcome::kLater);
  EXPECT_TRUE(made.verdict.needs_person);
  EXPECT_NE(made.verdict.error.to_string().find("the account is deactivated"), std::string::npos);
  server_.status = "InvalidRequest";
  EXPECT_EQ(repository_->create(kCollection, clock_.next(server_.now), post_).verdict.outcome,
            Outcome::kRefused);
}

TEST_F(RepositoryTest, RecordsArePutAndRemovedWhereNobodyElseChangedThem) {
  EXPECT_EQ(repository_->put("a.b.c", "k", R"({"n":1})", {.cid = ""}).verdict.outcome,
            Outcome::kDone);
  const WriteResult again = repository_->put("a.b.c", "k", R"({"n":2})", {.cid = ""});
  EXPECT_EQ(again.verdict.outcome, Outcome::kRefused);
  EXPECT_EQ(again.verdict.error.code, ErrorCode::kMismatch);
  const auto found = repository_->get("a.b.c", "k");
  ASSERT_TRUE(found && *found);
  EXPECT_EQ(
      repository_->put("a.b.c", "k", R"({"n":2})", {.cid = (*found)->ref.cid}).verdict.outcome,
      Outcome::kDone);
  EXPECT_EQ(repository_->remove("a.b.c", "k", {.cid = (*found)->ref.cid}).verdict.outcome,
            Outcome::kRefused);
  EXPECT_EQ(repository_->remove("a.b.c", "k").verdict.outcome, Outcome::kDone);
  EXPECT_TRUE(server_.records.empty());
}

TEST_F(RepositoryTest, SeveralWritesGoTogether) {
  const Write writes[] = {{Write::Kind::kCreate, kCollection, clock_.next(server_.now), post_},
                          {Write::Kind::kDelete, "a.b.c", "k"}};
  EXPECT_EQ(repository_->apply(writes).verdict.outcome, Outcome::kDone);
  EXPECT_EQ(server_.records.size(), 1U);
  const json sent = json::parse(*server_.requests.back().body);
  EXPECT_EQ(sent["writes"][1]["$type"], "com.atproto.repo.applyWrites#delete");
  const auto budget = session_->budget();
  ASSERT_TRUE(budget);
  EXPECT_EQ(budget->left_in_hour(server_.now), 5000 - 6);
}

TEST_F(RepositoryTest, TheBotsLabelIsSetBesideWhatOthersWrite) {
  const std::string profile = "app.bsky.actor.profile/self";
  const auto set = set_self_label(*repository_, kBotLabel, true);
  ASSERT_TRUE(set) << set.error().to_string();
  EXPECT_TRUE(*set);
  EXPECT_TRUE(has_self_label(server_.records[profile].dump(), kBotLabel));
  const auto again = set_self_label(*repository_, kBotLabel, true);
  ASSERT_TRUE(again);
  EXPECT_FALSE(*again);
  server_.records[profile] = {{"$type", "app.bsky.actor.profile"}, {"displayName", "Alice"}};
  ASSERT_TRUE(set_self_label(*repository_, kBotLabel, true));
  EXPECT_EQ(server_.records[profile]["displayName"], "Alice");
  EXPECT_TRUE(has_self_label(server_.records[profile].dump(), kBotLabel));
}

TEST_F(RepositoryTest, LookingUpNeverTakesATroubleForAnAbsence) {
  const std::string key = clock_.next(server_.now);
  ASSERT_EQ(repository_->create(kCollection, key, post_).verdict.outcome, Outcome::kDone);
  for (const Fault fault : {Fault::kNoConnection, Fault::kRequestLost, Fault::kAnswerGarbled,
                            Fault::kServerError, Fault::kForeignRefusal, Fault::kTooMany}) {
    server_.faults = {fault};
    EXPECT_FALSE(repository_->get(kCollection, key)) << static_cast<int>(fault);
  }
}

TEST_F(RepositoryTest, DraftsAreCheckedBeforeTheyAreSent) {
  RemoteDrafts drafts(*session_);
  const auto asked = server_.asked.size();
  EXPECT_EQ(drafts.create({}).verdict.error.code, ErrorCode::kLimit);
  EXPECT_EQ(drafts.create({std::string(1001, 'x')}).verdict.error.code, ErrorCode::kLimit);
  EXPECT_EQ(drafts.create({"x"}, {"a", "b", "c", "d"}).verdict.error.code, ErrorCode::kLimit);
  EXPECT_EQ(drafts.create({"\xFF"}).verdict.error.code, ErrorCode::kMalformed);
  EXPECT_EQ(drafts.remove("../x").verdict.outcome, Outcome::kRefused);
  EXPECT_EQ(server_.asked.size(), asked);
}

}  // namespace
}  // namespace bobby::bluesky
