// What a draft tells of its post and of the last decision about it, and that whatever is decided
// by way of the drafts is kept as what is decided by way of the outbox.

#include <chrono>
#include <fmt/format.h>
#include <vector>

#include "store/outbox.h"
#include "store_fixture.h"

namespace bobby::store::testing {
namespace {

constexpr std::string_view kAccount = "did:plc:alice";

class DraftStandingTest : public StoreTest {
 protected:
  DraftStandingTest() : drafts_(open()), outbox_(Outbox::open(path_).value()) {}

  std::int64_t draft(const std::string& text = "a post") {
    return drafts_->create({.text = text, .graphemes = 6})->id;
  }
  Draft get(std::int64_t id) const { return **drafts_->get(id); }
  OutboxPost approve(std::int64_t id, const std::string& key) {
    return outbox_->approve(id, kAccount, key, 100).value();
  }
  OutboxPost send(std::int64_t id, const std::string& key) {
    return outbox_->begin(approve(id, key).id, "{}", 200, std::nullopt).value().value();
  }
  ErrorCode update_error(std::int64_t id, const DraftChange& change) {
    const auto changed = drafts_->update(id, change);
    EXPECT_FALSE(changed);
    return changed ? ErrorCode::kInternal : changed.error().code;
  }
  std::vector<std::int64_t> ids(const DraftQuery& query) {
    std::vector<std::int64_t> found;
    const DraftPage page = drafts_->list(query).value();
    for (const Draft& each : page.drafts) found.push_back(each.id);
    EXPECT_EQ(page.total, static_cast<std::int64_t>(found.size()));
    return found;
  }

  std::unique_ptr<DraftStore> drafts_;
  std::unique_ptr<Outbox> outbox_;
};

TEST_F(DraftStandingTest, ADraftThatNobodyDecidedAboutHasNeither) {
  const std::int64_t id = draft();
  EXPECT_FALSE(get(id).post);
  EXPECT_FALSE(get(id).decision);
}

TEST_F(DraftStandingTest, ItFollowsThePostToItsEnd) {
  const std::int64_t id = draft();
  approve(id, "key");
  Draft seen = get(id);
  ASSERT_TRUE(seen.post && seen.decision);
  EXPECT_EQ(seen.post->state, OutboxState::kApproved);
  EXPECT_EQ(seen.post->account, kAccount);
  EXPECT_EQ(seen.post->record_key, "key");
  EXPECT_EQ(seen.post->approved_at, 100);
  EXPECT_EQ(seen.decision->decision, "approved");
  EXPECT_EQ(seen.decision->at, 100);

  const OutboxPost sent = outbox_->begin(outbox_->of_draft(id).value()->id, "{}", 200, {})->value();
  ASSERT_TRUE(outbox_->postpone(sent, "the server is away", 900).value());
  seen = get(id);
  EXPECT_EQ(seen.post->problem, "the server is away");
  EXPECT_EQ(seen.post->attempts, 1);
  EXPECT_EQ(seen.post->not_before, 900);

  ASSERT_TRUE(outbox_->begin(sent.id, "{}", 901, {})->has_value());
  EXPECT_EQ(get(id).post->state, OutboxState::kSending);
  ASSERT_TRUE(outbox_->posted(sent.id, "at://x", "cid", 950).value());
  seen = drafts_->list({}).value().drafts.front();
  EXPECT_EQ(seen.status, "posted");
  EXPECT_EQ(seen.post->state, OutboxState::kPosted);
  EXPECT_EQ(seen.post->uri, "at://x");
  EXPECT_EQ(seen.post->posted_at, 950);
  EXPECT_EQ(seen.post->problem, "");
  EXPECT_EQ(seen.decision->decision, "posted");
}

TEST_F(DraftStandingTest, TheListFindsThemByThePostsState) {
  const std::int64_t waits = draft("waits"), goes = draft("goes"), refused = draft("refused");
  const std::int64_t other = draft("other");
  approve(waits, "k1");
  send(goes, "k2");
  ASSERT_TRUE(outbox_->refused(send(refused, "k3"), "too long", 300).value());
  EXPECT_EQ(ids({.post = OutboxState::kApproved}), std::vector{waits});
  EXPECT_EQ(ids({.post = OutboxState::kSending}), std::vector{goes});
  EXPECT_EQ(ids({.post = OutboxState::kRefused}), std::vector{refused});
  EXPECT_EQ(ids({.status = "draft", .post = OutboxState::kRefused}), std::vector<std::int64_t>{});
  EXPECT_EQ(ids({.ids = {other, waits, 999}}), (std::vector{other, waits}));
  EXPECT_EQ(ids({.status = "approved", .ids = {other, waits}}), std::vector{waits});
}

TEST_F(DraftStandingTest, AStatusIsADecision) {
  const std::int64_t id = draft("bad taste");
  ASSERT_TRUE(drafts_->update(id, {.status = "approved"}));
  EXPECT_EQ(get(id).decision->decision, "approved");
  const auto before = std::chrono::system_clock::now() - std::chrono::minutes(1);
  ASSERT_TRUE(drafts_->update(id, {.status = "rejected", .reason = "not me"}));
  const Decision last = outbox_->decisions(1)->front();
  EXPECT_EQ(last.draft_id, id);
  EXPECT_EQ(last.decision, "rejected");
  EXPECT_EQ(last.reason, "not me");
  EXPECT_EQ(last.text, "bad taste");
  EXPECT_GT(
      last.at,
      std::chrono::duration_cast<std::chrono::milliseconds>(before.time_since_epoch()).count());
  ASSERT_TRUE(drafts_->update(id, {.status = "rejected"}));
  EXPECT_EQ(get(id).decision->reason, "not me") << "the same again decides nothing";
  ASSERT_TRUE(drafts_->update(id, {.status = "rejected", .reason = "nor you"}));
  EXPECT_EQ(get(id).decision->reason, "nor you");
  ASSERT_TRUE(drafts_->update(id, {.status = "draft"}));
  EXPECT_EQ(get(id).decision->decision, "withdrawn");
  EXPECT_EQ(outbox_->decisions(10)->size(), 4u);
}

TEST_F(DraftStandingTest, ANewTextTakesTheApprovalBack) {
  const std::int64_t id = draft();
  approve(id, "key");
  ASSERT_TRUE(drafts_->update(id, {.text = "new", .graphemes = 3}));
  const Draft seen = get(id);
  EXPECT_EQ(seen.status, "draft");
  EXPECT_FALSE(seen.post);
  EXPECT_EQ(seen.decision->decision, "withdrawn");
  EXPECT_EQ(seen.decision->reason, "its text was changed");
  ASSERT_TRUE(drafts_->update(id, {.text = "newer", .graphemes = 5}));
  EXPECT_EQ(outbox_->decisions(10)->size(), 2u) << "there was no approval any more";
}

TEST_F(DraftStandingTest, TheKeyOfAnApprovedDraftIsNoSecondApproval) {
  const std::int64_t id = draft();
  ASSERT_TRUE(drafts_->update(id, {.status = "approved"}));
  approve(id, "key");
  EXPECT_EQ(outbox_->decisions(10)->size(), 1u);
}

TEST_F(DraftStandingTest, WhatWasRefusedIsNotApprovedAsItIs) {
  const std::int64_t id = draft();
  ASSERT_TRUE(outbox_->refused(send(id, "key"), "too long", 300).value());
  const auto approved = drafts_->update(id, {.status = "approved"});
  ASSERT_FALSE(approved);
  EXPECT_EQ(approved.error().code, ErrorCode::kUsage);
  EXPECT_NE(approved.error().to_string().find("too long"), std::string::npos);
  EXPECT_EQ(get(id).post->state, OutboxState::kRefused);
  ASSERT_TRUE(drafts_->update(id, {.text = "short", .status = "approved", .graphemes = 5}));
  EXPECT_EQ(outbox_->without_key().value(), std::vector{id}) << "with a new text it is another";
}

TEST_F(DraftStandingTest, OnlyTheTextThatWasSeenIsDecidedAbout) {
  const std::int64_t id = draft("seen");
  ASSERT_TRUE(drafts_->update(id, {.status = "approved", .seen_text = "seen"}));
  ASSERT_TRUE(drafts_->update(id, {.text = "other", .graphemes = 5, .seen_text = "seen"}));
  EXPECT_EQ(update_error(id, {.status = "approved", .seen_text = "seen"}), ErrorCode::kMismatch);
  EXPECT_EQ(get(id).status, "draft");
  EXPECT_EQ(get(id).text, "other");
}

}  // namespace
}  // namespace bobby::store::testing
