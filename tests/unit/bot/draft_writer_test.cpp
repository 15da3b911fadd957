#include "bot/draft_writer.h"

#include <gtest/gtest.h>

#include "voice/graphemes.h"

namespace bobby::bot {
namespace {

struct Text {
  std::string text;
  double mean_logprob;
};

class DraftWriterTest : public ::testing::Test {
 protected:
  Result<WrittenDrafts> write(const std::vector<Text>& texts, DraftWish wish,
                              FilterConfig filter = {}) {
    const PostMaker maker(Filter::make(filter).value(), {});
    DraftWriter writer(
        [&](const PostRequest& request) -> Result<PostBatch> {
          asked_ = request.count;
          PostBatch batch;
          batch.seed = 7;
          for (const Text& text : texts) {
            Post post;
            post.text = text.text;
            post.graphemes = count_graphemes(text.text);
            post.mean_logprob = text.mean_logprob;
            batch.posts.push_back(post);
          }
          return batch;
        },
        maker, past_);
    return writer.write({}, wish);
  }
  static std::vector<std::string> texts_of(const std::vector<Candidate>& candidates) {
    std::vector<std::string> texts;
    for (const Candidate& candidate : candidates) texts.push_back(candidate.text);
    return texts;
  }

  NoveltyIndex past_;
  std::uint32_t asked_ = 0;
};

TEST_F(DraftWriterTest, KeepsTheLikeliest) {
  const auto written = write({{"rain on the roof again", -2.0},
                              {"a cat sleeps on my keyboard", -1.0},
                              {"trains are late on mondays", -1.5},
                              {"nobody reads the manual", -3.0}},
                             {.count = 2, .candidates = 2});
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(asked_, 4u);
  EXPECT_EQ(texts_of(written->kept), (std::vector<std::string>{"a cat sleeps on my keyboard",
                                                               "trains are late on mondays"}));
  EXPECT_EQ(written->others.size(), 2u);
  EXPECT_EQ(written->others[0].why_not, "others are better");
  EXPECT_EQ(written->seed, 7u);
}

TEST_F(DraftWriterTest, WhatIsNotNewIsNotKept) {
  past_.add({SourceKind::kArchive, "train.jsonl:3"}, "A cat sleeps on my keyboard!");
  const auto written =
      write({{"a cat sleeps on my keyboard", -0.5}, {"nobody reads the manual", -3.0}},
            {.count = 1, .candidates = 2});
  ASSERT_TRUE(written);
  EXPECT_EQ(texts_of(written->kept), std::vector<std::string>{"nobody reads the manual"});
  EXPECT_NE(written->others[0].why_not.find("train.jsonl:3"), std::string::npos);
}

TEST_F(DraftWriterTest, TwoThatSayTheSameAreOne) {
  const auto written =
      write({{"nobody reads the manual", -1.0}, {"Nobody reads the manual.", -1.1}},
            {.count = 2, .candidates = 1});
  ASSERT_TRUE(written);
  EXPECT_EQ(written->kept.size(), 1u);
  EXPECT_NE(written->others[0].why_not.find("exact"), std::string::npos);
}

TEST_F(DraftWriterTest, WhatMayNotBeSaidIsNotKeptAndNamesAreTakenOut) {
  const auto written = write({{"this is crap", -0.1}, {"hello @anna.example.org and all", -1.0}},
                             {.count = 2, .candidates = 1}, {.deny = {{"crap"}}});
  ASSERT_TRUE(written);
  EXPECT_EQ(texts_of(written->kept), std::vector<std::string>{"hello anna and all"});
  EXPECT_EQ(written->kept[0].graphemes, 18);
  EXPECT_NE(written->others[0].why_not.find("crap"), std::string::npos);
}

TEST_F(DraftWriterTest, OwingToOthersCosts) {
  Candidate candidate;
  candidate.post.mean_logprob = -1.0;
  EXPECT_DOUBLE_EQ(score_of(candidate), -1.0);
  candidate.novelty.ngram_words = 4;
  EXPECT_DOUBLE_EQ(score_of(candidate), -1.0);
  candidate.novelty.ngram_words = 6;
  candidate.novelty.score = 0.25;
  EXPECT_DOUBLE_EQ(score_of(candidate), -1.7);
}

TEST_F(DraftWriterTest, TooManyAtOnceAreRefused) {
  EXPECT_EQ(write({}, {.count = 100, .candidates = 11}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(write({}, {.count = 4'000'000'000, .candidates = 4'000'000'000}).error().code,
            ErrorCode::kUsage);
}

}  // namespace
}  // namespace bobby::bot
