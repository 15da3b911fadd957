// What the outbox promises: an approved post has one key for good, and every state it may be found
// in after a crash says what has to be done.

#include "store/outbox.h"

#include <fmt/format.h>
#include <set>
#include <thread>
#include <vector>

#include "store_fixture.h"

namespace bobby::store::testing {
namespace {

constexpr std::string_view kAccount = "did:plc:alice";
constexpr std::string_view kOther = "did:plc:bob";

class OutboxTest : public StoreTest {
 protected:
  OutboxTest() : drafts_(open()), outbox_(open_outbox()) {}

  std::unique_ptr<Outbox> open_outbox() const {
    auto outbox = Outbox::open(path_);
    EXPECT_TRUE(outbox) << outbox.error().to_string();
    return outbox ? *std::move(outbox) : nullptr;
  }

  std::int64_t draft(const std::string& text = "a post") {
    return drafts_->create({.text = text, .graphemes = 6})->id;
  }
  std::string status(std::int64_t id) const { return (*drafts_->get(id))->status; }

  OutboxPost approved(const std::string& key = "key1") {
    const auto post = outbox_->approve(draft("text of " + key), kAccount, key, 100);
    EXPECT_TRUE(post) << post.error().to_string();
    return *post;
  }
  OutboxPost sending(const std::string& key = "key1") {
    const auto post = outbox_->begin(approved(key).id, "{\"n\":1}", 200, std::nullopt);
    EXPECT_TRUE(post && *post);
    return **post;
  }
  OutboxPost again(const OutboxPost& post) { return **outbox_->get(post.id); }

  std::unique_ptr<DraftStore> drafts_;
  std::unique_ptr<Outbox> outbox_;
};

TEST_F(OutboxTest, ApprovalKeepsTheKeyAndTheText) {
  const std::int64_t id = draft("the text");
  const OutboxPost post = outbox_->approve(id, kAccount, "key", 7).value();
  EXPECT_EQ(post.draft_id, id);
  EXPECT_EQ(post.account, kAccount);
  EXPECT_EQ(post.record_key, "key");
  EXPECT_EQ(post.text, "the text");
  EXPECT_EQ(post.state, OutboxState::kApproved);
  EXPECT_EQ(post.approved_at, 7);
  EXPECT_EQ(post.attempts, 0);
  EXPECT_EQ(status(id), "approved");
  EXPECT_EQ(open_outbox()->of_draft(id).value(), post);
}

TEST_F(OutboxTest, ASecondApprovalIsTheFirst) {
  const OutboxPost post = approved("first");
  EXPECT_EQ(outbox_->approve(post.draft_id, kAccount, "second", 999).value(), post);
  const auto other = outbox_->approve(post.draft_id, kOther, "third", 999);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kUsage);
}

TEST_F(OutboxTest, NoTwoPostsOfAnAccountShareAKey) {
  const OutboxPost post = approved("key");
  const auto second = outbox_->approve(draft(), kAccount, "key", 1);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kMismatch);
  EXPECT_NE(second.error().to_string().find(fmt::format("draft {}", post.draft_id)),
            std::string::npos);
  EXPECT_TRUE(outbox_->approve(draft(), kOther, "key", 1)) << "another repository is another place";
}

TEST_F(OutboxTest, OnlyDraftsCanBeApproved) {
  const auto missing = outbox_->approve(99, kAccount, "k", 1);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  for (const std::string done : {"rejected", "posted"}) {
    const std::int64_t id = draft();
    ASSERT_TRUE(drafts_->update(id, {.status = done}));
    const auto found = outbox_->approve(id, kAccount, "k", 1);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::kUsage);
    EXPECT_NE(found.error().to_string().find(done), std::string::npos);
  }
}

TEST_F(OutboxTest, TheRecordOfTheFirstTryStays) {
  const OutboxPost post = approved();
  const OutboxPost first = **outbox_->begin(post.id, "{\"n\":1}", 200, 150);
  EXPECT_EQ(first.state, OutboxState::kSending);
  EXPECT_EQ(first.attempts, 1);
  EXPECT_EQ(first.sent_at, 200);
  EXPECT_EQ(outbox_->handled_until(kAccount).value(), 150);
  EXPECT_EQ(outbox_->begin(post.id, "{\"n\":2}", 300, std::nullopt).value(), std::nullopt)
      << "it is being sent already";
  EXPECT_FALSE(outbox_->postpone(post, "no connection", 400).value())
      << "of the time before that try";
  EXPECT_FALSE(outbox_->refused(post, "too long", 400).value());
  EXPECT_TRUE(outbox_->postpone(first, "no connection", 400).value());
  EXPECT_EQ(outbox_->next(kAccount, 399, Tried::kBefore).value(), std::nullopt);
  EXPECT_EQ(outbox_->next(kAccount, 400, Tried::kNever).value(), std::nullopt);
  EXPECT_EQ((*outbox_->next(kAccount, 400, Tried::kBefore).value()).problem, "no connection");
  const OutboxPost second = **outbox_->begin(post.id, "{\"n\":2}", 400, std::nullopt);
  EXPECT_EQ(second.record, "{\"n\":1}");
  EXPECT_EQ(second.attempts, 2);
  EXPECT_EQ(second.sent_at, 200);
  EXPECT_EQ((**outbox_->begin_again(post.id, 500)).attempts, 3);
}

TEST_F(OutboxTest, PostedIsTheEnd) {
  const OutboxPost post = sending();
  EXPECT_TRUE(outbox_->posted(post.id, "at://x", "cid", 500).value());
  EXPECT_FALSE(outbox_->posted(post.id, "at://y", "cid2", 600).value()) << "someone else was first";
  EXPECT_EQ(again(post).uri, "at://x");
  EXPECT_EQ(again(post).posted_at, 500);
  EXPECT_EQ(status(post.draft_id), "posted");
  EXPECT_EQ(outbox_->posted_times(kAccount, 200).value(), std::vector<Moment>{200});
  EXPECT_TRUE(outbox_->posted_times(kAccount, 201)->empty());
  EXPECT_EQ(outbox_->sending(kAccount).value(), std::nullopt);
  EXPECT_EQ(outbox_->begin(post.id, "{}", 1, std::nullopt).value(), std::nullopt);
  EXPECT_EQ(outbox_->begin_again(post.id, 500).value(), std::nullopt);
  EXPECT_FALSE(outbox_->refused(post, "late", 700).value());
  EXPECT_FALSE(outbox_->postpone(post, "late", 700).value());
  for (const auto& act :
       {outbox_->reject(post.draft_id, "", 1), outbox_->withdraw(post.draft_id, 1)}) {
    ASSERT_FALSE(act);
    EXPECT_EQ(act.error().code, ErrorCode::kUsage);
  }
}

TEST_F(OutboxTest, WhatIsBeingSentCannotBeTakenBack) {
  const OutboxPost post = sending();
  std::vector<Result<void>> acts = {outbox_->reject(post.draft_id, "", 1),
                                    outbox_->withdraw(post.draft_id, 1)};
  const auto edited = drafts_->update(post.draft_id, {.text = "another"});
  const auto moved = drafts_->update(post.draft_id, {.status = "draft"});
  const auto removed = drafts_->remove(post.draft_id);
  for (const ErrorCode code : {acts[0].error().code, acts[1].error().code, edited.error().code,
                               moved.error().code, removed.error().code})
    EXPECT_EQ(code, ErrorCode::kBusy);
  EXPECT_EQ(again(post), post);
  EXPECT_EQ((*drafts_->get(post.draft_id))->text, post.text);
}

TEST_F(OutboxTest, AChangedDraftLeavesTheOutbox) {
  const OutboxPost edited = approved("k1");
  ASSERT_TRUE(drafts_->update(edited.draft_id, {.text = "new words", .graphemes = 9}));
  EXPECT_EQ(outbox_->get(edited.id).value(), std::nullopt);
  EXPECT_EQ(status(edited.draft_id), "draft");
  EXPECT_TRUE(outbox_->without_key()->empty()) << "nobody approved that text";
  ASSERT_TRUE(
      drafts_->update(edited.draft_id, {.text = "newer", .status = "approved", .graphemes = 5}));
  EXPECT_EQ(outbox_->without_key().value(), std::vector<std::int64_t>{edited.draft_id});
  const OutboxPost back = approved("k2");
  ASSERT_TRUE(drafts_->update(back.draft_id, {.status = "draft"}));
  EXPECT_EQ(outbox_->get(back.id).value(), std::nullopt);
  const OutboxPost same = approved("k3");
  ASSERT_TRUE(drafts_->update(same.draft_id, {.text = same.text, .status = "approved"}));
  EXPECT_TRUE(outbox_->get(same.id)->has_value());
  const OutboxPost gone = approved("k4");
  EXPECT_TRUE(drafts_->remove(gone.draft_id).value());
  EXPECT_EQ(outbox_->get(gone.id).value(), std::nullopt);
}

TEST_F(OutboxTest, APostedDraftStaysAsItIs) {
  const OutboxPost post = sending();
  ASSERT_TRUE(outbox_->posted(post.id, "at://x", "cid", 1).value());
  for (const DraftChange& change : {DraftChange{.text = "other"}, DraftChange{.status = "draft"},
                                    DraftChange{.status = "rejected"}}) {
    const auto changed = drafts_->update(post.draft_id, change);
    ASSERT_FALSE(changed);
    EXPECT_EQ(changed.error().code, ErrorCode::kUsage);
  }
  EXPECT_TRUE(drafts_->update(post.draft_id, {.status = "posted"}));
  EXPECT_TRUE(drafts_->remove(post.draft_id).value()) << "the list may be tidied";
  EXPECT_TRUE(outbox_->get(post.id)->has_value()) << "what was said stays known";
}

TEST_F(OutboxTest, RefusedWaitsForAPerson) {
  const OutboxPost post = sending();
  EXPECT_TRUE(outbox_->refused(post, "text too long", 9).value());
  EXPECT_EQ(outbox_->next(kAccount, 1000, Tried::kNever).value(), std::nullopt);
  EXPECT_EQ(outbox_->sending(kAccount).value(), std::nullopt);
  EXPECT_FALSE(outbox_->approve(post.draft_id, kAccount, "new", 10));
  ASSERT_TRUE(outbox_->withdraw(post.draft_id, 11));
  EXPECT_EQ(status(post.draft_id), "draft");
  EXPECT_EQ(outbox_->approve(post.draft_id, kAccount, "new", 12)->record_key, "new");
}

TEST_F(OutboxTest, ThePageApprovesWithoutAnAccount) {
  const std::int64_t id = draft();
  ASSERT_TRUE(drafts_->update(id, {.status = "approved"}));
  EXPECT_EQ(outbox_->without_key().value(), std::vector<std::int64_t>{id});
  ASSERT_TRUE(outbox_->approve(id, kAccount, "k", 1));
  EXPECT_TRUE(outbox_->without_key()->empty());
}

TEST_F(OutboxTest, TheOldestApprovedIsNext) {
  const OutboxPost one = approved("k1");
  const OutboxPost two = approved("k2");
  EXPECT_EQ(outbox_->next(kAccount, 1, Tried::kNever).value(), one);
  EXPECT_EQ(outbox_->next(kOther, 1, Tried::kNever).value(), std::nullopt);
  ASSERT_TRUE(outbox_->begin(one.id, "{}", 1, std::nullopt).value());
  EXPECT_EQ(outbox_->next(kAccount, 1, Tried::kNever).value(), two);
  EXPECT_EQ((*outbox_->sending(kAccount).value()).id, one.id);
  const auto counts = outbox_->counts(kAccount).value();
  EXPECT_EQ(counts, (std::array<std::int64_t, 4>{1, 1, 0, 0}));
  EXPECT_EQ(outbox_->list({.state = OutboxState::kApproved})->size(), 1u);
  EXPECT_EQ(outbox_->list({.account = std::string(kOther)})->size(), 0u);
  EXPECT_EQ(outbox_->list({.limit = 1})->front().id, two.id);
}

TEST_F(OutboxTest, DecisionsAreKept) {
  const std::int64_t id = draft("bad taste");
  ASSERT_TRUE(outbox_->reject(id, "not me", 5));
  EXPECT_EQ(status(id), "rejected");
  const OutboxPost post = sending();
  ASSERT_TRUE(outbox_->posted(post.id, "at://x", "c", 6).value());
  std::vector<std::string> found;
  const std::vector<Decision> decisions = outbox_->decisions(10).value();
  for (const Decision& each : decisions)
    found.push_back(fmt::format("{} {} {} {}", each.draft_id, each.decision, each.reason, each.at));
  EXPECT_EQ(found, (std::vector<std::string>{fmt::format("{} posted at://x 6", post.draft_id),
                                             fmt::format("{} approved  100", post.draft_id),
                                             fmt::format("{} rejected not me 5", id)}));
  EXPECT_EQ(decisions.back().text, "bad taste");
}

TEST_F(OutboxTest, ADraftIsHandedOverOnce) {
  const std::int64_t id = approved().draft_id;
  const auto begun = outbox_->begin_handover(id, "as sent", 300);
  ASSERT_TRUE(begun) << begun.error().to_string();
  EXPECT_FALSE(begun->in_doubt);
  EXPECT_FALSE(outbox_->of_draft(id).value()) << "nothing posts it as well";
  EXPECT_EQ(outbox_->approve(id, kAccount, "key9", 310).error().code, ErrorCode::kUsage);
  EXPECT_EQ(drafts_->update(id, {.status = "approved"}).error().code, ErrorCode::kUsage)
      << "nor by way of the page";
  // Whoever comes after a crash has to look first.
  const auto again = open_outbox()->begin_handover(id, "other rules", 320);
  EXPECT_TRUE(again->in_doubt);
  EXPECT_EQ(again->text, "as sent");
  ASSERT_TRUE(outbox_->end_handover(id, "draft 3l", 330));
  EXPECT_EQ(outbox_->decisions(1)->front().decision, "handed over");
  EXPECT_EQ(outbox_->decisions(1)->front().reason, "draft 3l");
  EXPECT_EQ(outbox_->begin_handover(id, "as sent", 340).error().code, ErrorCode::kUsage);
  EXPECT_EQ(outbox_->end_handover(id, "draft 3l", 350).error().code, ErrorCode::kUsage);
}

TEST_F(OutboxTest, AHandoverThatFailedIsADraftAgain) {
  const std::int64_t id = draft();
  ASSERT_TRUE(outbox_->begin_handover(id, "as sent", 300));
  EXPECT_EQ(status(id), "rejected");
  ASSERT_TRUE(outbox_->undo_handover(id, 310));
  EXPECT_EQ(status(id), "draft");
  EXPECT_FALSE(outbox_->begin_handover(id, "as sent", 320)->in_doubt);
  EXPECT_EQ(outbox_->undo_handover(draft(), 330).error().code, ErrorCode::kUsage);
  const OutboxPost post = sending();
  EXPECT_EQ(outbox_->begin_handover(post.draft_id, "x", 340).error().code, ErrorCode::kBusy);
  EXPECT_EQ(outbox_->begin_handover(99, "x", 360).error().code, ErrorCode::kNotFound);
}

TEST_F(OutboxTest, SlotsAreHandledOnce) {
  EXPECT_EQ(outbox_->handled_until(kAccount).value(), 0);
  ASSERT_TRUE(outbox_->handle_until(kAccount, 50));
  ASSERT_TRUE(outbox_->handle_until(kAccount, 40));
  EXPECT_EQ(outbox_->handled_until(kAccount).value(), 50) << "never goes back";
  ASSERT_TRUE(outbox_->set_pause(kAccount, {.until = 70, .reason = "suspended"}));
  EXPECT_EQ(outbox_->pause(kAccount)->reason, "suspended");
  EXPECT_EQ(outbox_->handled_until(kAccount).value(), 50);
  EXPECT_EQ(outbox_->pause(kOther)->until, 0);
}

TEST_F(OutboxTest, AnAccountGoesOnFromAClockThatWasAhead) {
  const OutboxPost posted = sending("key1");
  ASSERT_TRUE(outbox_->posted(posted.id, "at://x", "c", 200).value());
  const OutboxPost tried = sending("key2");
  ASSERT_TRUE(outbox_->postpone(tried, "no connection", 900).value());
  const OutboxPost early = sending("key3");
  ASSERT_TRUE(outbox_->unknown(early.id, "no answer", 90));
  for (const std::string_view account : {kAccount, kOther}) {
    ASSERT_TRUE(outbox_->handle_until(account, 5000));
    ASSERT_TRUE(outbox_->set_pause(account, {.until = 7000, .reason = "suspended"}));
  }
  ASSERT_TRUE(outbox_->resume(kAccount, 150));
  EXPECT_EQ(outbox_->handled_until(kAccount).value(), 150);
  EXPECT_EQ(outbox_->pause(kAccount)->until, 0);
  EXPECT_EQ(outbox_->pause(kAccount)->reason, "");
  EXPECT_EQ(outbox_->next_try(kAccount)->value(), 150);
  EXPECT_EQ(outbox_->posted_times(kAccount, 0).value(), (std::vector<Moment>{150, 150}));
  EXPECT_EQ(outbox_->get(early.id)->value().not_before, 90) << "that is past already";
  EXPECT_EQ(outbox_->handled_until(kOther).value(), 5000) << "another account is another's";
  EXPECT_EQ(outbox_->pause(kOther)->until, 7000);
  ASSERT_TRUE(outbox_->resume(kAccount, 180));
  EXPECT_EQ(outbox_->handled_until(kAccount).value(), 150) << "what was missed is still missed";
}

TEST_F(OutboxTest, ALeaseHasOneOwner) {
  const auto other = open_outbox();
  EXPECT_TRUE(outbox_->hold_lease("post", "one", 0, 100).value());
  EXPECT_TRUE(outbox_->hold_lease("post", "one", 50, 150).value()) << "its own";
  EXPECT_FALSE(other->hold_lease("post", "two", 149, 249).value());
  EXPECT_TRUE(other->hold_lease("else", "two", 149, 249).value());
  EXPECT_TRUE(other->hold_lease("post", "two", 150, 250).value()) << "run out";
  EXPECT_FALSE(outbox_->hold_lease("post", "one", 200, 300).value());
  ASSERT_TRUE(outbox_->end_lease("post", "one"));
  EXPECT_FALSE(outbox_->hold_lease("post", "one", 200, 300).value()) << "not its to end";
  ASSERT_TRUE(other->end_lease("post", "two"));
  EXPECT_TRUE(outbox_->hold_lease("post", "one", 200, 300).value());
}

TEST_F(OutboxTest, AClockSetBackDoesNotKeepALeaseForYears) {
  ASSERT_TRUE(outbox_->hold_lease("post", "one", 1'000'000, 1'000'100).value());
  EXPECT_TRUE(outbox_->hold_lease("post", "two", 5'000, 5'100).value());
}

TEST_F(OutboxTest, ManyBeginnersOneSender) {
  constexpr int kPosts = 20;
  for (int i = 0; i < kPosts; ++i) approved(fmt::format("key{}", i));
  std::array<std::vector<std::int64_t>, 4> taken;
  std::vector<std::thread> threads;
  for (auto& mine : taken)
    threads.emplace_back([&] {
      const auto outbox = open_outbox();
      for (;;) {
        const auto post = outbox->next(kAccount, 1000, Tried::kNever);
        if (!post || !*post) return;
        const auto begun = outbox->begin((*post)->id, "{}", 1000, std::nullopt);
        if (begun && *begun) mine.push_back((*post)->id);
      }
    });
  for (std::thread& thread : threads) thread.join();
  std::multiset<std::int64_t> all;
  for (const auto& mine : taken) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), kPosts);
  EXPECT_EQ((std::set<std::int64_t>(all.begin(), all.end())).size(), kPosts);
}

TEST_F(OutboxTest, AKilledWriterLeavesAStateThatSaysWhatToDo) {
  const OutboxPost post = approved();
  drafts_.reset();
  outbox_.reset();
  const pid_t child = in_child([&] {
    const auto outbox = open_outbox();
    if (!*outbox->begin(post.id, "{\"n\":1}", 5, 4)) return 1;
    ::kill(::getpid(), SIGKILL);
    return 2;
  });
  EXPECT_EQ(ended(child), -SIGKILL);
  const auto outbox = open_outbox();
  const auto found = outbox->sending(kAccount);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->record, "{\"n\":1}");
  EXPECT_EQ(outbox->handled_until(kAccount).value(), 4);
}

}  // namespace
}  // namespace bobby::store::testing
