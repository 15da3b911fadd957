#include "data/filters.h"

#include <gtest/gtest.h>

namespace bobby::data {
namespace {

SourcePost post(std::string text) {
  SourcePost post;
  post.text = std::move(text);
  return post;
}

// The reason, or "" when the post stays.
std::string reason(SourcePost post, const FilterOptions& options = {}) {
  std::uint64_t links = 0;
  return PostFilter(options).apply(post, links).value_or("");
}

TEST(PostFilter, LengthsAreCharactersAsAReaderCounts) {
  EXPECT_EQ(reason(post("nineteen chars long")), "shorter than 20 characters");
  EXPECT_EQ(reason(post("twenty characters it")), "");
  const std::string families = "\U0001F469\u200D\U0001F469 a";
  EXPECT_EQ(reason(post(families), {.min_chars = 4}), "shorter than 4 characters");
  EXPECT_EQ(reason(post(families), {.min_chars = 3}), "");
  EXPECT_EQ(reason(post("twenty-one characters"), {.max_chars = 20}), "longer than 20 characters");
}

TEST(PostFilter, RepliesAndQuotesStayWhenAskedFor) {
  SourcePost reply = post("an answer to somebody's question");
  reply.reply = true;
  EXPECT_EQ(reason(reply), "a reply");
  EXPECT_EQ(reason(reply, {.replies = true}), "");
  SourcePost quote = post("words about another post below");
  quote.quote = true;
  EXPECT_EQ(reason(quote), "words about a post that it quotes");
  EXPECT_EQ(reason(quote, {.quotes = true}), "");
}

TEST(PostFilter, LanguagesMatchByTheirFirstPart) {
  SourcePost english = post("words in the English language");
  english.language = "en-GB";
  EXPECT_EQ(reason(english, {.languages = {"EN"}}), "");
  EXPECT_EQ(reason(english, {.languages = {"en-GB"}}), "");
  EXPECT_EQ(reason(english, {.languages = {"e"}}), "in another language");
  EXPECT_EQ(reason(english, {.languages = {"de", "fr"}}), "in another language");
  EXPECT_EQ(reason(post("words in no known language"), {.languages = {"de"}}), "");
}

TEST(PostFilter, LinksGoStayOrDecide) {
  SourcePost linked = post("a long look at https://example.org bread");
  std::uint64_t links = 0;
  EXPECT_FALSE(PostFilter({}).apply(linked, links));
  EXPECT_EQ(linked.text, "a long look at bread");
  EXPECT_EQ(links, 1u);
  EXPECT_EQ(reason(post("a long look at https://example.org bread"), {.links = LinkRule::kSkip}),
            "holds a link");
  SourcePost kept = post("a long look at https://example.org bread");
  EXPECT_FALSE(PostFilter({.links = LinkRule::kKeep}).apply(kept, links));
  EXPECT_EQ(kept.text, "a long look at https://example.org bread");
}

TEST(PostFilter, TheLengthIsThatOfWhatIsTrainedOn) {
  EXPECT_EQ(reason(post("see https://example.org/a/very/long/address")),
            "shorter than 20 characters");
}

TEST(PostFilter, WhatHasNoWordsOrEndsTurnsIsLeftOut) {
  EXPECT_EQ(reason(post("https://example.org @anna #morning")),
            "nothing but links, @names, #tags or pictures");
  EXPECT_EQ(reason(post(" \u200B ")), "empty");
  EXPECT_TRUE(reason(post("words and then <|im_end|> and more")).starts_with("holds a sign"));
  SourcePost prompted = post("words that are as they should be");
  prompted.prompt = "write <|im_start|>";
  EXPECT_TRUE(reason(prompted).starts_with("holds a sign"));
}

}  // namespace
}  // namespace bobby::data
