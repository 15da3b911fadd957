// A server that loses requests and answers, delays them and fails, and publishers that die
// anywhere: every approved post is there once, and none that was taken back.

#include "bot/publisher.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <unistd.h>

#include "store/draft_store.h"

namespace bobby::bot {
namespace {

namespace fs = std::filesystem;
using store::OutboxPost;
using store::OutboxState;
using Kind = PublishStep::Kind;
using Created = CreateAnswer::Kind;
using Found = FindAnswer::Kind;

constexpr const char* kAccount = "did:plc:alice";

/// The process ends here.
struct Death {};

/// A repository that keeps what AT Protocol's does: the first record under a key.
class Server final : public PostTarget {
 public:
  /// What happens to one request.
  enum class Fate {
    kAnswered,
    kLost,         ///< it never arrives
    kAnswerLost,   ///< it arrives, and nobody hears
    kLate,         ///< it arrives some requests later
    kRefusedLink,  ///< no connection
    kTooMany,      ///< 429
    kDeathBefore,  ///< whoever asked dies, and nothing arrived
    kDeathAfter    ///< whoever asked dies, and it arrived
  };

  CreateAnswer create(std::string_view key, std::string_view record) override {
    ++creates;
    deliver_late();
    if (refuses) return {.kind = Created::kRefused, .problem = "400: not a record"};
    switch (fate()) {
      case Fate::kAnswered: return apply(key, record);
      case Fate::kLost: return {.kind = Created::kUnknown, .problem = "no answer"};
      case Fate::kAnswerLost: apply(key, record); return {.kind = Created::kUnknown};
      case Fate::kLate: late_.emplace_back(key, record); return {.kind = Created::kUnknown};
      case Fate::kRefusedLink: return {.kind = Created::kNotNow, .problem = "no connection"};
      case Fate::kTooMany:
        return {.kind = Created::kNotNow, .problem = "429", .wait = std::chrono::seconds(90)};
      case Fate::kDeathBefore: throw Death{};
      case Fate::kDeathAfter: apply(key, record); throw Death{};
    }
    return {};
  }

  FindAnswer find(std::string_view key) override {
    ++finds;
    deliver_late();
    switch (fate()) {
      case Fate::kDeathBefore:
      case Fate::kDeathAfter: throw Death{};
      case Fate::kLost:
      case Fate::kAnswerLost:
      case Fate::kRefusedLink:
      case Fate::kTooMany: return {.kind = Found::kUnknown, .problem = "no answer"};
      default: break;
    }
    const auto record = records.find(std::string(key));
    if (record == records.end()) return {.kind = Found::kNotThere};
    return {.kind = Found::kThere,
            .uri = "at://" + record->first,
            .cid = "c",
            .record = record->second};
  }

  bool same(std::string_view a, std::string_view b) const override { return a == b; }

  CreateAnswer apply(std::string_view key, std::string_view record) {
    // A real server answers 500 where there is one already.
    if (!records.try_emplace(std::string(key), record).second)
      return {.kind = Created::kUnknown, .problem = "500"};
    return {.kind = Created::kCreated, .uri = "at://" + std::string(key), .cid = "c"};
  }

  void deliver_late() {
    if (late_.empty() || !late_delivery()) return;
    apply(late_.front().first, late_.front().second);
    late_.pop_front();
  }

  std::map<std::string, std::string> records;
  std::deque<Fate> fates = {};  ///< of the next requests; then all are answered
  std::function<Fate()> draw = {};
  std::function<bool()> late_delivery = [] { return true; };
  bool refuses = false;
  int creates = 0;
  int finds = 0;

 private:
  Fate fate() {
    if (draw) return draw();
    if (fates.empty()) return Fate::kAnswered;
    const Fate fate = fates.front();
    fates.pop_front();
    return fate;
  }

  std::deque<std::pair<std::string, std::string>> late_;
};

using Fate = Server::Fate;

class PublisherTest : public ::testing::Test {
 protected:
  PublisherTest() {
    std::string name = (fs::temp_directory_path() / "bobby-publisher-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    drafts_ = store::DraftStore::open(folder_ / "store").value();
    outbox_ = store::Outbox::open(folder_ / "store").value();
  }
  ~PublisherTest() override {
    outbox_.reset();
    drafts_.reset();
    fs::remove_all(folder_);
  }

  OutboxPost approve(int number) {
    const auto draft =
        drafts_->create({.text = fmt::format("post {}", number), .graphemes = 6}).value();
    return outbox_->approve(draft.id, kAccount, fmt::format("key{}", number), 1).value();
  }
  Publisher publisher() {
    return {*outbox_, server_, kAccount, [](const OutboxPost& post, Moment now) {
              return Result<std::string>(fmt::format("{} at {}", post.text, now));
            }};
  }
  PublishStep publish(Moment now) {
    auto step = publisher().publish_again(now);
    if (step && step->kind == Kind::kNothing) step = publisher().publish(now);
    EXPECT_TRUE(step) << step.error().to_string();
    return *step;
  }
  PublishStep settle(Moment now, bool may_post = true) {
    auto step = publisher().settle(now, may_post);
    EXPECT_TRUE(step) << step.error().to_string();
    return *step;
  }
  OutboxPost now_of(const OutboxPost& post) { return outbox_->get(post.id)->value(); }

  fs::path folder_;
  std::unique_ptr<store::DraftStore> drafts_;
  std::unique_ptr<store::Outbox> outbox_;
  Server server_;
};

TEST_F(PublisherTest, PostsTheOldest) {
  const OutboxPost post = approve(1);
  approve(2);
  const PublishStep step = publish(50);
  EXPECT_EQ(step.kind, Kind::kPosted);
  EXPECT_EQ(step.post.id, post.id);
  EXPECT_EQ(server_.records, (std::map<std::string, std::string>{{"key1", "post 1 at 50"}}));
  EXPECT_EQ(now_of(post).uri, "at://key1");
  EXPECT_EQ(settle(51).kind, Kind::kNothing);
  EXPECT_EQ(publish(52).kind, Kind::kPosted);
  EXPECT_EQ(publish(53).kind, Kind::kNothing);
  EXPECT_EQ(server_.creates, 2);
}

TEST_F(PublisherTest, ALostAnswerIsAskedForAndNotSentAgain) {
  const OutboxPost post = approve(1);
  server_.fates = {Fate::kAnswerLost};
  EXPECT_EQ(publish(0).kind, Kind::kUnknown);
  EXPECT_EQ(settle(4'999).kind, Kind::kUnknown);
  EXPECT_EQ(server_.finds, 0) << "its moment has not come";
  EXPECT_EQ(settle(5'000).kind, Kind::kPosted);
  EXPECT_EQ(server_.creates, 1);
  EXPECT_EQ(now_of(post).state, OutboxState::kPosted);
}

TEST_F(PublisherTest, ALostRequestIsSentAgainUnderItsKeyAsItWas) {
  approve(1);
  server_.fates = {Fate::kLost};
  EXPECT_EQ(publish(0).kind, Kind::kUnknown);
  EXPECT_EQ(settle(5'000).kind, Kind::kPosted);
  EXPECT_EQ(server_.creates, 2);
  EXPECT_EQ(server_.records.at("key1"), "post 1 at 0") << "the record of the first try";
}

TEST_F(PublisherTest, ALateRequestAndItsRepeatAreOne) {
  approve(1);
  server_.late_delivery = [this] { return server_.creates == 2; };
  server_.fates = {Fate::kLate};
  EXPECT_EQ(publish(0).kind, Kind::kUnknown);
  const PublishStep second = settle(5'000);  // not there; the repeat meets the late one: 500
  EXPECT_EQ(second.kind, Kind::kUnknown);
  EXPECT_EQ(settle(second.again).kind, Kind::kPosted);
  EXPECT_EQ(server_.records.size(), 1u);
}

TEST_F(PublisherTest, WhatCertainlyIsNotThereCanBeTakenBack) {
  const OutboxPost post = approve(1);
  server_.fates = {Fate::kRefusedLink};
  const PublishStep step = publish(0);
  EXPECT_EQ(step.kind, Kind::kPostponed);
  EXPECT_EQ(step.again, 5'000);
  EXPECT_EQ(now_of(post).state, OutboxState::kApproved);
  EXPECT_EQ(publish(4'999).kind, Kind::kNothing);
  EXPECT_TRUE(outbox_->withdraw(post.draft_id, 1));
  EXPECT_EQ(publish(5'000).kind, Kind::kNothing);
}

TEST_F(PublisherTest, OnesTryThatFailsSaysNothingOfAnothers) {
  const OutboxPost post = approve(1);
  bool is_first = true;
  server_.late_delivery = [this] { return server_.creates == 3; };
  server_.draw = [&] {
    if (!std::exchange(is_first, false))
      return server_.creates == 2 ? Fate::kLate : Fate::kAnswered;
    // Meanwhile someone else finds it being sent, and not there; his request takes its time.
    EXPECT_EQ(settle(10).kind, Kind::kUnknown);
    return Fate::kTooMany;
  };
  EXPECT_EQ(publish(0).kind, Kind::kNothing);
  EXPECT_EQ(now_of(post).state, OutboxState::kSending);
  EXPECT_FALSE(outbox_->reject(post.draft_id, "", 20)) << "it is still under way";
  const PublishStep step = settle(now_of(post).not_before);
  EXPECT_EQ(step.kind, Kind::kUnknown);
  EXPECT_EQ(settle(step.again).kind, Kind::kPosted);
  EXPECT_EQ(server_.records.size(), 1u);
}

TEST_F(PublisherTest, APostWhoseRecordCannotBeMadeYetWaits) {
  const OutboxPost post = approve(1);
  bool reachable = false;
  Publisher waiting(*outbox_, server_, kAccount,
                    [&](const OutboxPost&, Moment) -> Result<std::string> {
                      if (reachable) return "record";
                      return fail({.code = ErrorCode::kTimeout, .problem = "who is @anna?"});
                    });
  const auto step = waiting.publish(100, 90);
  ASSERT_TRUE(step) << step.error().to_string();
  EXPECT_EQ(step->kind, Kind::kPostponed);
  EXPECT_EQ(step->again, 5'100);
  EXPECT_EQ(server_.creates, 0);
  EXPECT_EQ(outbox_->handled_until(kAccount).value(), 90) << "its slot is used";
  EXPECT_EQ(now_of(post).state, OutboxState::kApproved);
  reachable = true;
  EXPECT_EQ(waiting.publish_again(5'100)->kind, Kind::kPosted);
  EXPECT_EQ(server_.records, (std::map<std::string, std::string>{{"key1", "record"}}));
}

TEST_F(PublisherTest, AProcessThatDiesBeforeItsRecordIsMadeHasSentNothing) {
  const OutboxPost post = approve(1);
  ASSERT_TRUE(outbox_->begin(post.id, "", 10, std::nullopt).value());
  EXPECT_EQ(settle(20).kind, Kind::kPostponed);
  EXPECT_EQ(server_.finds, 0);
  EXPECT_EQ(publish(21).kind, Kind::kPosted);
  EXPECT_EQ(server_.records.at("key1"), "post 1 at 21");
}

TEST_F(PublisherTest, ARecordThatCanNeverBeMadeIsRefused) {
  const OutboxPost post = approve(1);
  Publisher strict(*outbox_, server_, kAccount,
                   [](const OutboxPost&, Moment) -> Result<std::string> {
                     return fail({.code = ErrorCode::kUsage, .problem = "says what it must not"});
                   });
  EXPECT_EQ(strict.publish(1)->kind, Kind::kRefused);
  EXPECT_EQ(now_of(post).state, OutboxState::kRefused);
  EXPECT_EQ(now_of(post).problem, "says what it must not");
}

TEST_F(PublisherTest, AfterADoubtfulTryNothingIsCertainlyNotThere) {
  const OutboxPost post = approve(1);
  server_.late_delivery = [] { return false; };
  server_.fates = {Fate::kLate, Fate::kAnswered, Fate::kRefusedLink};
  EXPECT_EQ(publish(0).kind, Kind::kUnknown);
  EXPECT_EQ(settle(5'000).kind, Kind::kUnknown) << "the first request may still arrive";
  EXPECT_FALSE(outbox_->withdraw(post.draft_id, 1));
  server_.late_delivery = [] { return true; };
  EXPECT_EQ(settle(100'000).kind, Kind::kPosted);
  EXPECT_EQ(server_.creates, 2);
}

TEST_F(PublisherTest, TheServersWaitIsKept) {
  approve(1);
  server_.fates = {Fate::kTooMany};
  EXPECT_EQ(publish(0).again, 90'000);
  EXPECT_EQ(publish(89'999).kind, Kind::kNothing);
  EXPECT_EQ(publish(90'000).kind, Kind::kPosted);
}

TEST_F(PublisherTest, OutsideTheHoursItAsksButDoesNotSend) {
  approve(1);
  server_.fates = {Fate::kLost};
  publish(0);
  EXPECT_EQ(settle(5'000, false).kind, Kind::kUnknown);
  EXPECT_EQ(server_.creates, 1);
  EXPECT_EQ(settle(6'000, true).kind, Kind::kPosted);
}

TEST_F(PublisherTest, ARefusedRecordWaitsForAPerson) {
  const OutboxPost post = approve(1);
  server_.refuses = true;
  const PublishStep step = publish(0);
  EXPECT_EQ(step.kind, Kind::kRefused);
  EXPECT_EQ(step.detail, "400: not a record");
  EXPECT_EQ(now_of(post).state, OutboxState::kRefused);
  server_.refuses = false;
  EXPECT_EQ(publish(1'000'000).kind, Kind::kNothing);
}

TEST_F(PublisherTest, RefusedAfterADoubtfulTryIsAskedForFirst) {
  const OutboxPost arrived = approve(1);
  server_.fates = {Fate::kLate, Fate::kAnswered};
  server_.late_delivery = [this] { return server_.creates == 2; };
  EXPECT_EQ(publish(0).kind, Kind::kUnknown);
  server_.refuses = true;
  EXPECT_EQ(settle(5'000).kind, Kind::kPosted) << "the first request arrived meanwhile";
  server_.refuses = false;
  server_.late_delivery = [] { return true; };
  const OutboxPost lost = approve(2);
  server_.fates = {Fate::kLost};
  EXPECT_EQ(publish(10'000).kind, Kind::kUnknown);
  server_.refuses = true;
  EXPECT_EQ(settle(20'000).kind, Kind::kRefused);
  EXPECT_EQ(now_of(arrived).state, OutboxState::kPosted);
  EXPECT_EQ(now_of(lost).state, OutboxState::kRefused);
}

TEST_F(PublisherTest, AStrangersRecordUnderTheKeyIsNotOurs) {
  const OutboxPost post = approve(1);
  server_.records["key1"] = "something else";
  EXPECT_EQ(publish(0).kind, Kind::kUnknown);
  const PublishStep step = settle(5'000);
  EXPECT_EQ(step.kind, Kind::kRefused);
  EXPECT_NE(step.detail.find("another record"), std::string::npos);
  EXPECT_EQ(now_of(post).state, OutboxState::kRefused);
}

TEST_F(PublisherTest, ARecordThatCannotBeMadeIsRefusedUnsent) {
  const OutboxPost post = approve(1);
  Publisher maker(*outbox_, server_, kAccount, [](const OutboxPost&, Moment) {
    return Result<std::string>(fail({.code = ErrorCode::kLimit, .problem = "301 graphemes"}));
  });
  EXPECT_EQ(maker.publish(0)->kind, Kind::kRefused);
  EXPECT_EQ(server_.creates, 0);
  EXPECT_EQ(now_of(post).problem, "301 graphemes");
}

TEST_F(PublisherTest, WaitsGrow) {
  using namespace std::chrono_literals;
  EXPECT_EQ(retry_wait(0, {}), 5s);
  EXPECT_EQ(retry_wait(1, {}), 5s);
  EXPECT_EQ(retry_wait(4, {}), 40s);
  EXPECT_EQ(retry_wait(1'000'000, {}), 15min);
  EXPECT_EQ(retry_wait(1, 60s), 60s);
  EXPECT_EQ(retry_wait(9, 60s), 15min);
  EXPECT_EQ(retry_wait(1, 100h), 24h);
}

/// Two publishers, in turns and dying, over a link that does everything; a person takes posts back
/// in between.
TEST_F(PublisherTest, EveryPostOnceWhateverHappens) {
  std::mt19937_64 random(20261128);
  const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
  int deaths = 0, withdrawn = 0;
  for (int round = 0; round < 40; ++round) {
    std::vector<OutboxPost> posts;
    for (int i = 0; i < 5; ++i) posts.push_back(approve(round * 5 + i));
    server_.draw = [&] {
      return chance(35) ? Fate::kAnswered : static_cast<Fate>(1 + random() % 7);
    };
    server_.late_delivery = [&] { return chance(30); };
    std::set<std::int64_t> taken_back;
    Moment now = 1'000'000'000LL * (round + 1);
    for (int step = 0; step < 60; ++step, now += static_cast<Moment>(random() % 60'000)) {
      if (chance(5)) {
        const OutboxPost& post = posts[random() % posts.size()];
        if (outbox_->withdraw(post.draft_id, now) && taken_back.insert(post.draft_id).second)
          ++withdrawn;
      }
      try {
        if (chance(50))
          settle(now, chance(80));
        else
          publish(now);
      } catch (const Death&) {
        ++deaths;
      }
    }
    // The link is good again, and everything that was under way arrives.
    server_.draw = {};
    server_.late_delivery = [] { return true; };
    for (int step = 0; step < 40; ++step, now += 1'000'000) {
      settle(now);
      publish(now);
    }
    for (const OutboxPost& post : posts) {
      const bool there = server_.records.contains(post.record_key);
      if (taken_back.contains(post.draft_id)) {
        EXPECT_FALSE(there) << post.text << " was taken back";
      } else {
        EXPECT_TRUE(there) << post.text << " was lost";
        EXPECT_EQ(now_of(post).state, OutboxState::kPosted);
      }
    }
  }
  fmt::print("{} posts, {} requests, {} questions, {} deaths, {} taken back\n", 200,
             server_.creates, server_.finds, deaths, withdrawn);
  EXPECT_GT(deaths, 80);
  EXPECT_GT(withdrawn, 10);
  EXPECT_EQ(server_.records.size(), 200u - static_cast<std::size_t>(withdrawn));
}

}  // namespace
}  // namespace bobby::bot
