// A review, with a person whose keys are a script.

#include "cli/review.h"

#include <deque>

#include "cli/text_editor.h"
#include "unit/bot/store_fixture.h"

namespace bobby::cli {
namespace {

class ReviewTest : public bot::StoreFixture {
 protected:
  ReviewCounts review(std::deque<char> keys, bot::FilterConfig filter = {}) {
    const bot::PostMaker plain = maker(std::move(filter));
    bot::Approver approver(*drafts_, *outbox_, plain, kAccount);
    const ReviewDesk desk = {.say = [this](const std::string& line) { said_ += line + "\n"; },
                             .choose = [&keys]() -> std::optional<char> {
                               if (keys.empty()) return std::nullopt;
                               const char key = keys.front();
                               keys.pop_front();
                               return key;
                             },
                             .ask = [this](const std::string&) { return reason_; },
                             .edit = [this](const std::string&) { return edited_; }};
    Review it({.drafts = *drafts_,
               .outbox = *outbox_,
               .approver = approver,
               .maker = plain,
               .past = past_,
               .desk = desk,
               .now = [] { return store::Moment{1'764'331'651'042}; }});
    auto counts = it.run(bot::undecided_drafts(*drafts_).value());
    EXPECT_TRUE(counts) << counts.error().to_string();
    return *counts;
  }
  bool said(const std::string& text) const { return said_.find(text) != std::string::npos; }

  bot::NoveltyIndex past_;
  std::optional<std::string> reason_ = "not me";
  Result<std::optional<std::string>> edited_ = std::optional<std::string>("a better text");
  std::string said_;
};

TEST_F(ReviewTest, EachKeyDoesWhatItSays) {
  for (const char* text : {"one", "two", "three", "four"}) draft(text);
  const ReviewCounts counts = review({'a', 'r', 's', 'q'});
  EXPECT_EQ(counts.approved, 1);
  EXPECT_EQ(counts.rejected, 1);
  EXPECT_EQ(counts.skipped, 1);
  EXPECT_EQ(status(1), "approved");
  EXPECT_EQ(status(2), "rejected");
  EXPECT_EQ(status(3), "draft");
  EXPECT_EQ(status(4), "draft");
  EXPECT_EQ(outbox_->decisions(1)->front().reason, "not me");
  EXPECT_TRUE(said("draft 2 (2 of 4)"));
}

TEST_F(ReviewTest, TheLastDecisionIsShownWithItsReason) {
  draft("one");
  ASSERT_TRUE(outbox_->reject(1, "not how I talk", 1'764'331'651'042));
  ASSERT_TRUE(drafts_->update(1, {.text = "two", .status = "draft", .graphemes = 3}));
  ASSERT_TRUE(outbox_->reject(1, "not that either", 1'764'331'651'042));
  ASSERT_TRUE(outbox_->withdraw(1, 1'764'331'651'042));
  review({'s'});
  EXPECT_TRUE(said("withdrawn on 2025-11-28 12:07:31 UTC\n")) << said_;
  EXPECT_FALSE(said("not how I talk")) << "that was about another text";
}

TEST_F(ReviewTest, AnEditedDraftIsShownAgain) {
  draft("one");
  const ReviewCounts counts = review({'e', 'a'});
  EXPECT_EQ(counts.edited, 1);
  EXPECT_EQ(outbox_->of_draft(1)->value().text, "a better text");
  EXPECT_EQ(drafts_->get(1)->value().graphemes, 13);
}

TEST_F(ReviewTest, WhatCannotBePostedIsSaidAndAskedAnew) {
  draft("utter crap");
  const ReviewCounts counts = review({'a', 'x', 's'}, {.deny = {{"crap"}}});
  EXPECT_EQ(counts.approved, 0);
  EXPECT_EQ(counts.skipped, 1);
  EXPECT_TRUE(said("cannot be posted as it is"));
  EXPECT_EQ(status(1), "draft");
}

TEST_F(ReviewTest, WithoutAnEditorNothingChanges) {
  draft("one");
  edited_ = fail({.code = ErrorCode::kIo, .problem = "there is no editor"});
  EXPECT_EQ(review({'e', 's'}).edited, 0);
  EXPECT_TRUE(said("there is no editor"));
  edited_ = std::optional<std::string>();
  EXPECT_EQ(review({'e', 's'}).edited, 0);
}

TEST_F(ReviewTest, TheEndOfTheInputEndsIt) {
  draft("one");
  draft("two");
  EXPECT_EQ(review({'a'}).approved, 1);
  reason_ = std::nullopt;
  EXPECT_EQ(review({'r'}).rejected, 0);
  EXPECT_EQ(status(2), "draft");
}

TEST_F(ReviewTest, WhatItHasInCommonIsShown) {
  past_.add({bot::SourceKind::kArchive, "train.jsonl:7"}, "a cat sleeps on my keyboard");
  draft("A cat sleeps on my keyboard!");
  review({});
  EXPECT_TRUE(said("exact: the same as archive post train.jsonl:7")) << said_;
}

TEST(TextEditor, GivesWhatWasLeftInTheFile) {
  using Variables = std::map<std::string, std::string, std::less<>>;
  const auto edited = [](Variables variables) {
    return edit_text("text", Environment(std::move(variables))).value();
  };
  EXPECT_EQ(edited(Variables{{"EDITOR", "printf ' more\\n' >>"}}), "text\n more");
  EXPECT_EQ(edited(Variables{{"EDITOR", "false"}, {"VISUAL", "true"}}), "text");
  EXPECT_FALSE(edited(Variables{{"EDITOR", "false"}}));
  EXPECT_FALSE(edited(Variables{{"EDITOR", "truncate -s 0"}}));
}

}  // namespace
}  // namespace bobby::cli
