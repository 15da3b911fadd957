#include "bot/approval.h"

#include "unit/bot/store_fixture.h"

namespace bobby::bot {
namespace {

constexpr store::Moment kNoon = 1'764'331'651'042;

using ApprovalTest = StoreFixture;

TEST_F(ApprovalTest, GivesEachDraftAKeyOfItsOwn) {
  const PostMaker plain = maker();
  Approver approver(*drafts_, *outbox_, plain, kAccount);
  const auto first = approver.approve(draft("one"), kNoon);
  const auto second = approver.approve(draft("two"), kNoon);
  ASSERT_TRUE(first) << first.error().to_string();
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_TRUE(bluesky::is_tid(first->post.record_key));
  EXPECT_LT(first->post.record_key, second->post.record_key);
  EXPECT_EQ(first->preview.text, "one");
  EXPECT_EQ(status(first->post.draft_id), "approved");
}

TEST_F(ApprovalTest, KeysGrowAlsoWhenTheClockWasSetBack) {
  const PostMaker plain = maker();
  const std::string first =
      Approver(*drafts_, *outbox_, plain, kAccount).approve(draft("one"), kNoon)->post.record_key;
  const auto second =
      Approver(*drafts_, *outbox_, plain, kAccount).approve(draft("two"), kNoon - 86'400'000);
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_LT(first, second->post.record_key);
}

TEST_F(ApprovalTest, TwiceIsOnce) {
  const PostMaker plain = maker();
  Approver approver(*drafts_, *outbox_, plain, kAccount);
  const std::int64_t id = draft("one");
  EXPECT_EQ(approver.approve(id, kNoon)->post, approver.approve(id, kNoon + 1)->post);
}

TEST_F(ApprovalTest, WhatCouldNotBePostedIsNotApproved) {
  const PostMaker strict = maker({.deny = {{"crap"}}});
  Approver approver(*drafts_, *outbox_, strict, kAccount);
  const std::int64_t id = draft("cr@p");
  const auto refused = approver.approve(id, kNoon);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where.rfind("draft 1", 0), 0u) << refused.error().to_string();
  EXPECT_EQ(status(id), "draft");
  EXPECT_EQ(approver.approve(99, kNoon).error().code, ErrorCode::kNotFound);
}

TEST_F(ApprovalTest, UndecidedDraftsComeOldestFirst) {
  for (int i = 0; i < 210; ++i) draft("text");
  ASSERT_TRUE(drafts_->update(7, {.status = "rejected"}));
  const auto waiting = undecided_drafts(*drafts_);
  ASSERT_TRUE(waiting);
  ASSERT_EQ(waiting->size(), 209u);
  EXPECT_EQ(waiting->front().id, 1);
  EXPECT_EQ((*waiting)[6].id, 8);
  EXPECT_EQ(waiting->back().id, 210);
}

}  // namespace
}  // namespace bobby::bot
