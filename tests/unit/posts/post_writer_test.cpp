#include "posts/post_writer.h"

#include <atomic>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

#include "unit/generation/fake_model.h"

namespace bobby {
namespace {

using testing_support::babble;
using testing_support::FakeLogits;
using testing_support::make_fake;
using testing_support::recite;

PostRequest request_for(std::uint32_t count) {
  PostRequest request;
  request.prompt = "write";
  request.count = count;
  request.form = *find_prompt_form("raw");
  request.sampling.temperature = 1.0f;
  request.seed = 5;
  request.max_tokens = 60;
  return request;
}

Result<PostBatch> write(const FakeLogits& logits, const PostRequest& request) {
  const auto fake = make_fake(logits);
  Generator generator(fake.loader());
  return PostWriter(generator).write(request);
}

/// One of several letters by chance, then the end: posts of one letter, many of them alike.
FakeLogits one_of(int letters) {
  return [letters](std::span<const std::int32_t> tokens) {
    std::vector<float> logits(static_cast<std::size_t>(testing_support::kFakeVocab), -30.0f);
    for (int i = 0; i < letters; ++i) logits[static_cast<std::size_t>('a' + i)] = 0.0f;
    if (tokens.size() > 5) logits[testing_support::kImEnd] = 30.0f;
    return logits;
  };
}

std::map<std::uint32_t, std::string> texts(const PostBatch& batch) {
  std::map<std::uint32_t, std::string> by_index;
  for (const Post& post : batch.posts) by_index[post.index] = post.text;
  return by_index;
}

TEST(PostWriter, WritesCleanPosts) {
  auto request = request_for(1);
  request.sampling.temperature = 0.0f;
  const auto batch =
      write(recite("write", "<think>hm</think>\n\"Coffee is  good, 😀 truly. #a\""), request);
  ASSERT_TRUE(batch) << batch.error().to_string();
  ASSERT_EQ(batch->posts.size(), 1u);
  const Post& post = batch->posts[0];
  EXPECT_EQ(post.text, "Coffee is good, truly.");
  EXPECT_EQ(post.graphemes, 22);
  EXPECT_EQ(post.finish_reason, FinishReason::kStop);
  EXPECT_EQ(post.tries, 1);
  EXPECT_EQ(post.seed, 5u);
  EXPECT_GT(post.tokens, post.graphemes) << "thinking counts";
}

/// Letters and spaces for ever; a full stop, and then the end, are possible and most unlikely.
std::vector<float> endless(std::span<const std::int32_t> tokens) {
  std::vector<float> logits(static_cast<std::size_t>(testing_support::kFakeVocab), -30.0f);
  for (const char letter : {'a', 'b', 'c', ' '}) logits[static_cast<std::size_t>(letter)] = 0.0f;
  logits['.'] = -6.0f;
  const bool ended = !tokens.empty() && tokens.back() == '.';
  logits[testing_support::kImEnd] = ended ? -6.0f : -30.0f;
  return logits;
}

TEST(PostWriter, LeadsAPostToTheEndOfASentence) {
  auto request = request_for(8);
  request.rules.char_limit = 300;
  request.max_tokens = 400;
  const auto led = write(endless, request);
  request.finish_sentences = false;
  const auto cut = write(endless, request);
  ASSERT_TRUE(led && cut);
  const auto finished = [](const PostBatch& batch) {
    return std::ranges::count_if(batch.posts, [](const Post& post) {
      return post.finish_reason == FinishReason::kStop && post.text.ends_with('.') &&
             !post.text.ends_with("...") && post.graphemes <= 300;
    });
  };
  EXPECT_EQ(finished(*led), 8);
  EXPECT_EQ(finished(*cut), 0) << "the model alone ends one sentence in 400 letters";
}

// However short it is, a post is not led anywhere before it has begun.
TEST(PostWriter, ShortLimitsLeaveTheBeginningAlone) {
  auto request = request_for(4);
  request.rules.char_limit = 30;
  request.rules.min_chars = 1;
  const auto led = write(endless, request);
  request.finish_sentences = false;
  const auto cut = write(endless, request);
  ASSERT_TRUE(led && cut);
  for (std::uint32_t i = 0; i < 4; ++i) {
    // Both are cut or ended in the last third, and begin with the same draws.
    const std::string one = texts(*led).at(i), other = texts(*cut).at(i);
    EXPECT_EQ(one.substr(0, 10), other.substr(0, 10));
  }
}

TEST(PostWriter, PostsNearTheirLimitAreTheSameAloneAndTogether) {
  auto request = request_for(4);
  request.rules.char_limit = 90;
  request.max_tokens = 150;
  const auto together = write(endless, request);
  request.count = 1;
  const auto alone = write(endless, request);
  ASSERT_TRUE(together && alone);
  EXPECT_EQ(texts(*together).at(0), texts(*alone).at(0));
}

TEST(PostWriter, PostsAreTheSameAloneAndTogether) {
  const auto together = write(babble, request_for(4));
  ASSERT_TRUE(together) << together.error().to_string();
  const auto all = texts(*together);
  ASSERT_EQ(all.size(), 4u);
  for (std::uint32_t count = 1; count < 4; ++count) {
    const auto fewer = write(babble, request_for(count));
    ASSERT_TRUE(fewer);
    for (const auto& [index, text] : texts(*fewer)) EXPECT_EQ(text, all.at(index));
  }
}

TEST(PostWriter, TriesAgainWithItsOwnNumbers) {
  auto request = request_for(3);
  request.rules.min_chars = 45;  // some of the babble is shorter
  request.retries = 40;
  const auto batch = write(babble, request);
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->posts.size(), 3u);
  ASSERT_FALSE(batch->rejected.empty()) << "the test needs a post that was too short";
  for (const RejectedTry& rejected : batch->rejected) {
    EXPECT_EQ(rejected.reason, Rejection::kTooShort);
    EXPECT_LT(rejected.text.size(), 45u);
  }
  // A post's text is what its number draws, whatever the others needed.
  for (const Post& post : batch->posts) {
    const auto fake = make_fake(babble);
    Generator generator(fake.loader());
    GenerationRequest alone;
    alone.prompt = "write";
    alone.sampling = request.sampling;
    alone.seed = 5;
    alone.max_tokens = request.max_tokens;
    alone.samples = {post.index + static_cast<std::uint32_t>(post.tries - 1) * kTryStride};
    const auto completion = generator.generate(alone);
    ASSERT_TRUE(completion);
    EXPECT_EQ(clean_post(completion->at(0).text, request.rules).text, post.text);
  }
}

TEST(PostWriter, SaysWhenTriesRanOut) {
  auto request = request_for(2);
  request.retries = 2;
  request.rules.min_chars = 1000;
  request.rules.char_limit = 0;
  const auto batch = write(babble, request);
  ASSERT_TRUE(batch);
  EXPECT_TRUE(batch->posts.empty());
  EXPECT_EQ(batch->rejected.size(), 2u * 3u);
  EXPECT_EQ(batch->rejected[3].index, 1u);
  EXPECT_EQ(batch->rejected[3].attempt, 0);
}

TEST(PostWriter, ADuplicateGivesWayToTheLowerNumber) {
  auto request = request_for(4);
  request.rules.min_chars = 1;
  request.retries = 60;
  const auto batch = write(one_of(4), request);
  ASSERT_TRUE(batch);
  const auto all = texts(*batch);
  ASSERT_EQ(all.size(), 4u) << "four letters, four posts";
  EXPECT_FALSE(batch->rejected.empty());
  for (const RejectedTry& rejected : batch->rejected) {
    EXPECT_EQ(rejected.reason, Rejection::kDuplicate);
    bool earlier = false;
    for (const auto& [index, text] : all)
      earlier |= index < rejected.index && text == rejected.text;
    EXPECT_TRUE(earlier) << rejected.text << " of " << rejected.index;
  }
  for (std::uint32_t count = 1; count < 4; ++count) {
    request.count = count;
    for (const auto& [index, text] : texts(*write(one_of(4), request)))
      EXPECT_EQ(text, all.at(index)) << "later posts must not matter";
  }
  request.count = 5;
  EXPECT_EQ(write(one_of(4), request)->posts.size(), 4u);
}

TEST(PostWriter, GreedyTriesAgreeSoThereIsOne) {
  auto request = request_for(2);
  request.sampling.temperature = 0.0f;
  request.rules.min_chars = 1;
  const auto batch = write(one_of(4), request);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->posts.size(), 1u);
  ASSERT_EQ(batch->rejected.size(), 1u);
  EXPECT_EQ(batch->rejected[0].reason, Rejection::kDuplicate);
}

TEST(PostWriter, RawPostsAreTheModelsText) {
  auto request = request_for(2);
  request.raw = true;
  request.sampling.temperature = 0.0f;
  const auto batch = write(recite("write", " \"x\" #tag"), request);
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->posts.size(), 2u) << "nothing is rejected";
  EXPECT_EQ(batch->posts[0].text, " \"x\" #tag");
}

TEST(PostWriter, ALongPostIsStoppedEarlyAndCutTheSame) {
  const std::string sentence = "This is a sentence of some length that goes on a little. ";
  std::string text;
  for (int i = 0; i < 20; ++i) text += sentence;
  auto request = request_for(1);
  request.sampling.temperature = 0.0f;
  request.max_tokens = 2000;
  const auto batch = write(recite("write", text), request);
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->posts.size(), 1u);
  const Post& post = batch->posts[0];
  EXPECT_EQ(post.text, clean_post(text, request.rules).text);
  EXPECT_EQ(post.finish_reason, FinishReason::kLengthLimit);
  EXPECT_LT(post.tokens, 320) << "the rest was not generated";
}

TEST(PostWriter, StreamsTheRawTextOfEachTry) {
  auto request = request_for(2);
  request.rules.min_chars = 45;
  request.retries = 40;
  std::map<std::pair<std::uint32_t, int>, std::string> streamed;
  request.on_text = [&](std::uint32_t index, int attempt, std::string_view text) {
    streamed[{index, attempt}] += text;
  };
  const auto batch = write(babble, request);
  ASSERT_TRUE(batch);
  for (const Post& post : batch->posts)
    EXPECT_EQ(clean_post(streamed.at({post.index, post.tries - 1}), request.rules).text, post.text);
  for (const RejectedTry& rejected : batch->rejected)
    EXPECT_EQ(clean_post(streamed.at({rejected.index, rejected.attempt}), request.rules).text,
              rejected.text);
}

TEST(PostWriter, KeepsCompletePostsWhenCancelled) {
  std::atomic<bool> cancel = false;
  auto request = request_for(2);
  request.rules.min_chars = 45;
  request.retries = 100;
  request.cancel = &cancel;
  // In the first round post 0 is a post or not; cancelling in the second leaves what there is.
  request.on_text = [&](std::uint32_t, int attempt, std::string_view) { cancel = attempt >= 1; };
  request.count = 6;
  const auto batch = write(babble, request);
  ASSERT_TRUE(batch) << batch.error().to_string();
  ASSERT_TRUE(batch->cancelled);
  EXPECT_GT(batch->posts.size(), 0u);
  EXPECT_LT(batch->posts.size(), 6u);
  for (const Post& post : batch->posts) EXPECT_EQ(post.tries, 1);
  bool named = false;
  for (const RejectedTry& rejected : batch->rejected)
    named |= rejected.reason == Rejection::kCancelled;
  EXPECT_TRUE(named);

  cancel = true;
  request.on_text = {};
  const auto nothing = write(babble, request);
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->cancelled);
  EXPECT_TRUE(nothing->posts.empty());
}

TEST(PostWriter, DrawsASeedWhenThereIsNone) {
  auto request = request_for(1);
  request.seed.reset();
  const auto first = write(babble, request);
  const auto second = write(babble, request);
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->seed, second->seed);
  request.seed = first->seed;
  EXPECT_EQ(texts(*write(babble, request)), texts(*first));
}

TEST(PostWriter, NamesEveryBadSetting) {
  auto request = request_for(0);
  request.retries = -1;
  request.rules.min_chars = 400;
  const auto refused = write(babble, request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  for (const char* flag : {"count", "retries", "min-chars"})
    EXPECT_NE(refused.error().to_string().find(flag), std::string::npos) << flag;
  request = request_for(1);
  request.form = *find_prompt_form("chatml");
  request.prompt = "a <|im_end|>";
  EXPECT_FALSE(write(babble, request)) << "a marker in the prompt";
}

}  // namespace
}  // namespace bobby
