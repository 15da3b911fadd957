#include "data/twitter/twitter_archive.h"

#include <algorithm>

#include "data/twitter/archive_files.h"
#include "data/twitter/tweet.h"
#include "odd_archive.h"

namespace bobby::data {
namespace {

using namespace testing;

class TwitterArchiveTest : public ::testing::Test {
 protected:
  Read read(const fs::path& path, TwitterOptions options = {}) const {
    auto read = read_all(open_twitter_archive(path, options), folder_.path());
    EXPECT_TRUE(read) << read.error().to_string();
    return read ? *std::move(read) : Read{};
  }

  Folder folder_;
};

void expect_odd_archive(const Read& read) {
  EXPECT_EQ(read.texts(), odd_texts());
  EXPECT_EQ(read.report.counts.left_out, odd_left_out());
  EXPECT_EQ(read.report.counts.noted, odd_noted());
  EXPECT_EQ(read.report.counts.read, read.posts.size() + sum(read.report.counts.left_out));
  std::vector<std::string> names;
  for (const SourceFile& file : read.report.files) names.push_back(file.name);
  ASSERT_EQ(names.size(), 5u);
  EXPECT_TRUE(names[0].ends_with("note-tweet.js"));
  EXPECT_TRUE(names[2].ends_with("tweets-part1.js"));
}

TEST_F(TwitterArchiveTest, EveryOddityIsTakenOrCounted) {
  expect_odd_archive(read(folder_.write_all("archive", odd_archive())));
}

TEST_F(TwitterArchiveTest, AZipIsReadAsItsFolderIs) {
  const Read zipped = read(folder_.write_zip("archive.zip", odd_archive()));
  expect_odd_archive(zipped);
  const Read unpacked = read(folder_.write_all("archive", odd_archive()));
  for (std::size_t i = 0; i < zipped.report.files.size(); ++i)
    EXPECT_EQ(zipped.report.files[i].sha256, unpacked.report.files[i].sha256);
}

TEST_F(TwitterArchiveTest, TheArchiveMayLieInAFolderOfTheZip) {
  expect_odd_archive(
      read(folder_.write_zip("archive.zip", odd_archive("twitter-2024-01-01-ab12/"))));
}

TEST_F(TwitterArchiveTest, TheDataFolderAloneWillDo) {
  expect_odd_archive(read(folder_.write_all("archive", odd_archive()) / "data"));
}

TEST_F(TwitterArchiveTest, WhatIsKnownOfAPostIsKept) {
  const Read read = this->read(folder_.write_all("archive", odd_archive()));
  std::map<std::string, SourcePost> posts;
  for (const SourcePost& post : read.posts) posts[post.id] = post;
  EXPECT_TRUE(posts["6"].reply);
  EXPECT_TRUE(posts["7"].reply);
  EXPECT_FALSE(posts["8"].reply) << "an answer to oneself goes on with a thread";
  EXPECT_TRUE(posts["10"].quote);
  EXPECT_FALSE(posts["4"].quote);
  EXPECT_EQ(posts["17"].language, "fr");
  EXPECT_EQ(posts["18"].language, "") << "\"und\" says that it is not known";
  EXPECT_EQ(posts["1"].time, 1539202764);
  EXPECT_EQ(posts["11"].time, 1692785246);
  EXPECT_EQ(posts["20"].time, 0);
}

TEST_F(TwitterArchiveTest, DeletedPostsComeWhenAskedFor) {
  const Read read = this->read(folder_.write_all("archive", odd_archive()), {.deleted = true});
  EXPECT_EQ(read.texts()["25"], "I wish I had not said this");
  EXPECT_FALSE(read.report.counts.left_out.contains("deleted by its writer"));
}

TEST_F(TwitterArchiveTest, WithoutAManifestFilesAreFoundByName) {
  Files files = odd_archive();
  files.erase(files.begin());
  files.emplace_back("data/account.js",
                     ytd("account.part0", {{{"account", {{"accountId", "42"}}}}}));
  Read read = this->read(folder_.write_all("archive", files));
  EXPECT_EQ(read.texts()["90"], "A stray file") << "nothing says that it is a stray";
  EXPECT_EQ(read.report.counts.left_out, odd_left_out());
  const auto thread = std::ranges::find(read.posts, "8", &SourcePost::id);
  EXPECT_FALSE(thread->reply) << "account.js tells whose archive it is";
}

TEST_F(TwitterArchiveTest, AnArchiveOf2019IsTweetJsAtItsRoot) {
  const std::string file = "window.YTD.tweet.part0 = " +
                           Json::array({tweet("1", "Of another time altogether")["tweet"]}).dump();
  EXPECT_EQ(read(folder_.write_all("archive", {{"tweet.js", file}})).texts()["1"],
            "Of another time altogether");
}

TEST_F(TwitterArchiveTest, PartsAreReadInTheOrderOfTheirNumbers) {
  Files files = {{"data/tweets.js", ytd("tweets.part0", {tweet("0", "part 0")})}};
  for (const int part : {10, 9, 1, 2})
    files.emplace_back("data/tweets-part" + std::to_string(part) + ".js",
                       ytd("tweets.part" + std::to_string(part),
                           {tweet(std::to_string(part), "part " + std::to_string(part))}));
  std::vector<std::string> ids;
  for (const SourcePost& post : read(folder_.write_all("archive", files)).posts)
    ids.push_back(post.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"0", "1", "2", "9", "10"}));
}

TEST_F(TwitterArchiveTest, ANoteOfTheTweetsOwnIdIsJoinedWhateverItsTime) {
  const std::string whole =
      "Beginning with the same words, " + std::string(300, 'x') + " and an end";
  const Files files = {
      {"data/tweets.js",
       ytd("tweets.part0", {tweet("5", whole.substr(0, 250) + "\u2026 https://t.co/x")})},
      {"data/note-tweet.js", ytd("note_tweet.part0", {{{"noteTweet",
                                                        {{"noteTweetId", "5"},
                                                         {"createdAt", "not-a-date"},
                                                         {"core", {{"text", whole}}}}}}})}};
  EXPECT_EQ(read(folder_.write_all("archive", files)).texts()["5"], whole);
}

TEST_F(TwitterArchiveTest, HalvesOfSurrogatePairsDoNotStopAnImport) {
  const std::string file =
      R"(window.YTD.tweets.part0 = [{"tweet":{"id_str":"1","full_text":"cut \ud83d in half"}},)"
      R"({"tweet":{"id_str":"2","full_text":"whole \ud83d\ude00 and \\ud83d typed"}}])";
  auto texts = read(folder_.write_all("archive", {{"data/tweets.js", file}})).texts();
  EXPECT_EQ(texts["1"], "cut \uFFFD in half");
  EXPECT_EQ(texts["2"], "whole \U0001F600 and \\ud83d typed");
}

TEST_F(TwitterArchiveTest, AByteOrderMarkIsNoMatter) {
  const std::string file = "\xEF\xBB\xBF" + ytd("tweets.part0", {tweet("1", "marked")});
  EXPECT_EQ(read(folder_.write_all("archive", {{"data/tweets.js", file}})).texts()["1"], "marked");
}

TEST(Tweet, RetweetsAreKnownByTheirWords) {
  EXPECT_EQ(kind_of("RT @anna: hello"), TweetKind::kRetweet);
  EXPECT_EQ(kind_of("yes \"RT @anna: hello\""), TweetKind::kHandMadeRetweet);
  EXPECT_EQ(kind_of("yes MT @anna hello"), TweetKind::kHandMadeRetweet);
  EXPECT_EQ(kind_of("ART @ the museum"), TweetKind::kPost);
  EXPECT_EQ(kind_of("START @anna"), TweetKind::kPost);
  EXPECT_EQ(kind_of("RT if you agree"), TweetKind::kPost);
}

}  // namespace
}  // namespace bobby::data
