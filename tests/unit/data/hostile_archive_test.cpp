// Archives that were made to do harm, or were damaged: each ends in one clear error.

#include <algorithm>
#include <unistd.h>

#include "data/twitter/twitter_archive.h"
#include "odd_archive.h"

namespace bobby::data {
namespace {

using namespace testing;

class HostileArchiveTest : public ::testing::Test {
 protected:
  /// What reading says; fails the test when it works.
  Error error_of(const fs::path& path) const {
    auto read = read_all(open_twitter_archive(path, {}), folder_.path());
    EXPECT_FALSE(read) << "it was read";
    return read ? Error{} : read.error();
  }
  Error error_of_tweets(std::string_view bytes) const {
    fs::remove_all(folder_.path() / "archive");
    return error_of(folder_.write_all("archive", {{"data/tweets.js", std::string(bytes)}}));
  }
  void expect(const Error& error, ErrorCode code, const std::vector<std::string>& parts) const {
    EXPECT_EQ(error.code, code) << error.to_string();
    for (const std::string& part : parts)
      EXPECT_NE(error.to_string().find(part), std::string::npos)
          << part << " is not in: " << error.to_string();
    EXPECT_EQ(std::ranges::count(error.to_string(), '\n'), 0) << error.to_string();
  }

  Folder folder_;
};

const std::string kBegin = "window.YTD.tweets.part0 = ";
const std::string kEntry = R"({"tweet":{"id_str":"1","full_text":"hello"}})";

TEST_F(HostileArchiveTest, NoArchiveAtAll) {
  expect(error_of(folder_.path() / "nothing"), ErrorCode::kNotFound, {"nothing", "no such"});
  expect(error_of(folder_.write_all("empty", {{"readme.txt", ""}})), ErrorCode::kNotFound,
         {"empty", "holds no tweets", "data/tweets.js"});
  expect(error_of(folder_.write("text.zip", "this is no zip")), ErrorCode::kMalformed,
         {"text.zip", "is not a whole .zip file"});
  expect(error_of(folder_.write_all("old", {{"data/js/tweets/2013_01.js", "Grailbird"}})),
         ErrorCode::kUnsupported, {"before 2019"});
}

TEST_F(HostileArchiveTest, PathsThatLeadOutOfAZip) {
  for (const std::string name : {"../tweets.js", "data/../../tweets.js", "/etc/passwd",
                                 "data\\..\\..\\x.js", "C:/tweets.js"}) {
    Files files = odd_archive();
    files.emplace_back(name, "evil");
    expect(error_of(folder_.write_zip("slip.zip", files)), ErrorCode::kMalformed,
           {"slip.zip", "leads out of the archive"});
  }
}

TEST_F(HostileArchiveTest, AManifestThatNamesFilesOutside) {
  folder_.write("secret.js", ytd("tweets.part0", {tweet("1", "a secret")}));
  Files files = odd_archive();
  std::string& manifest = files.front().second;
  manifest.replace(manifest.find("data/tweets.js"), 14, "../secret.js");
  expect(error_of(folder_.write_all("archive", files)), ErrorCode::kMalformed,
         {"manifest.js", "outside of the archive", "../secret.js"});
}

TEST_F(HostileArchiveTest, ALinkThatLeadsOut) {
  folder_.write("secret.js", ytd("tweets.part0", {tweet("1", "a secret")}));
  const fs::path archive = folder_.write_all("archive", {{"data/readme.txt", ""}});
  fs::create_symlink(folder_.path() / "secret.js", archive / "data/tweets.js");
  expect(error_of(archive), ErrorCode::kMalformed, {"data/tweets.js", "leads out of the archive"});
}

TEST_F(HostileArchiveTest, AZipThatUnpacksToTooMuch) {
  const std::string bomb = kBegin + "[" + std::string(std::size_t{66} << 20, ' ') + "]";
  expect(error_of(folder_.write_zip("bomb.zip", {{"data/tweets.js", bomb}})), ErrorCode::kLimit,
         {"bomb.zip", "data/tweets.js", "unpacks to too much", "at most 200 times"});
}

TEST_F(HostileArchiveTest, AZipThatIsCutShortOrDamaged) {
  const fs::path path = folder_.write_zip("archive.zip", odd_archive());
  const std::string whole = folder_.read("archive.zip");
  expect(error_of(folder_.write("cut.zip", whole.substr(0, whole.size() / 2))),
         ErrorCode::kMalformed, {"cut.zip", "cut short"});
  std::string damaged = whole;
  const std::size_t begin = damaged.find("data/tweets.js") + 200;
  for (std::size_t i = 0; i < 40; ++i) damaged[begin + i] = static_cast<char>(i * 37);
  const Error error = error_of(folder_.write("damaged.zip", damaged));
  EXPECT_EQ(error.code, ErrorCode::kMalformed) << error.to_string();
}

TEST_F(HostileArchiveTest, AZipWithAPassword) {
  const fs::path path = folder_.write_zip("archive.zip", odd_archive());
  zip_t* zip = zip_open(path.c_str(), 0, nullptr);
  const auto index = static_cast<zip_uint64_t>(zip_name_locate(zip, "data/tweets.js", 0));
  if (zip_file_set_encryption(zip, index, ZIP_EM_TRAD_PKWARE, "secret") != 0) {
    zip_discard(zip);
    GTEST_SKIP() << "this libzip encrypts nothing";
  }
  ASSERT_EQ(zip_close(zip), 0);
  expect(error_of(path), ErrorCode::kMalformed,
         {"data/tweets.js", "cannot be unpacked", "assword"});
}

TEST_F(HostileArchiveTest, OtherPeoplesWordsUnderAnotherName) {
  expect(error_of_tweets("window.YTD.like.part0 = [" + kEntry + "]"), ErrorCode::kMismatch,
         {"data/tweets.js", "holds something else than its name says", "YTD.like.part0"});
}

TEST_F(HostileArchiveTest, FilesThatAreNoArrayOfObjects) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "holds no array"},
      {"<!DOCTYPE html><html>", "does not begin as a file of a Twitter archive"},
      {kBegin, "assigns no array"},
      {kBegin + "{}", "assigns no array"},
      {kBegin + "[" + kEntry, "ends in the middle"},
      {kBegin + "[" + kEntry.substr(0, 20), "entry 1 (byte 27): the file ends within it"},
      {kBegin + "[" + kEntry + "," + kEntry.substr(0, 20), "entry 2 (byte 72)"},
      {kBegin + "[" + kEntry + kEntry + "]", "entry 1 (byte 27): has no comma behind it"},
      {kBegin + "[" + kEntry + "] alert(1)", "something stands behind the array's end"},
      {kBegin + "[\"text\"]", "entry 1 (byte 27): is not an object"},
      {kBegin + "[{]]", "is not JSON"},
      {kBegin + "[{\"tweet\": tru}]", "entry 1 (byte 27): is not JSON"},
      {std::string(1000, 'w') + " = []", "does not begin as"},
  };
  for (const auto& [bytes, part] : cases)
    expect(error_of_tweets(bytes), ErrorCode::kMalformed, {"data/tweets.js", part});
}

TEST_F(HostileArchiveTest, OtherEncodings) {
  std::string wide = "\xFF\xFE";
  for (const char c : kBegin + "[]") wide += {c, '\0'};
  expect(error_of_tweets(wide), ErrorCode::kMalformed, {"data/tweets.js", "UTF-16", "save it as"});
  expect(error_of_tweets(wide.substr(2)), ErrorCode::kMalformed, {"NUL bytes"});
  const std::string latin = kBegin + R"([{"tweet":{"full_text":"caf)" + "\xE9" + R"("}}])";
  expect(error_of_tweets(latin), ErrorCode::kMalformed, {"entry 1", "is not UTF-8"});
}

TEST_F(HostileArchiveTest, EntriesWithoutEnd) {
  const std::string open = kBegin + "[{\"tweet\":{\"full_text\":\"";
  expect(error_of_tweets(open + std::string(10'000'000, 'a') + "\"}}]"), ErrorCode::kLimit,
         {"entry 1 (byte 27)", "too long for a post", "4194304"});
  expect(error_of_tweets(kBegin + "[{\"a\":" + std::string(1'000'000, '[')), ErrorCode::kLimit,
         {"nested more than 64 deep"});
}

TEST_F(HostileArchiveTest, EntriesThatAreNotTweetsAreCounted) {
  const std::string odd = kBegin + R"([{}, {"tweet": 5}, {"tweet": {"full_text": null}},
      {"tweet": {"full_text": ["x"]}}, {"tweet": {"full_text": "A post among them",
      "entities": 7, "display_text_range": "x", "created_at": {}, "id_str": -3,
      "extended_entities": {"media": [1, {"url": 2}]}}}])";
  auto read =
      read_all(open_twitter_archive(folder_.write_all("archive", {{"data/tweets.js", odd}}), {}),
               folder_.path());
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->report.counts.left_out.at("without text"), 4u);
  ASSERT_EQ(read->posts.size(), 1u);
  EXPECT_EQ(read->posts[0].text, "A post among them");
}

TEST_F(HostileArchiveTest, ManifestsThatAreNotWhole) {
  const auto error_with = [&](const std::string& manifest) {
    fs::remove_all(folder_.path() / "archive");
    Files files = odd_archive();
    files.front().second = manifest;
    return error_of(folder_.write_all("archive", files));
  };
  expect(error_with("window.__THAR_CONFIG ="), ErrorCode::kMalformed,
         {"data/manifest.js", "holds no object"});
  expect(error_with("{\"dataTypes\": }"), ErrorCode::kMalformed, {"manifest.js", "is not JSON"});
  expect(error_with("{}"), ErrorCode::kMalformed, {"manifest.js", "dataTypes", "is missing"});
  expect(error_with("{\"dataTypes\": {\"like\": {}}}"), ErrorCode::kNotFound, {"holds no tweets"});
  expect(error_with(R"({"dataTypes":{"tweets":{"files":[{"fileName":"data/tweets-part3.js",
                       "count":"4"}]}}})"),
         ErrorCode::kNotFound, {"lists data/tweets-part3.js", "not whole"});
}

TEST_F(HostileArchiveTest, ManyNotesOfOneMomentCostNoMoreThanOthers) {
  std::vector<Json> notes;
  std::vector<Json> tweets;
  for (int i = 0; i < 500; ++i) {
    notes.push_back({{"noteTweet",
                      {{"noteTweetId", "n" + std::to_string(i)},
                       {"createdAt", "2018-10-10T20:19:24.000Z"},
                       {"core", {{"text", "note number " + std::to_string(i)}}}}}});
    tweets.push_back(tweet(std::to_string(i), "another text altogether " + std::to_string(i)));
  }
  auto read = read_all(
      open_twitter_archive(
          folder_.write_all("archive", {{"data/tweets.js", ytd("tweets.part0", tweets)},
                                        {"data/note-tweet.js", ytd("note_tweet.part0", notes)}}),
          {}),
      folder_.path());
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->posts.size(), 500u);
  EXPECT_EQ(read->report.counts.left_out.at("long text without its tweet"), 500u);
}

}  // namespace
}  // namespace bobby::data
