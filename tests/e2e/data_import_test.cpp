// `bobby data import`, as a person runs it.

#include <algorithm>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "../unit/data/odd_archive.h"
#include "bobby_process.h"

namespace bobby::e2e {
namespace {

namespace fs = std::filesystem;
using data::testing::odd_archive;

class DataImport : public testing::Test {
 protected:
  Outcome run(std::vector<std::string> words) {
    words.insert(words.begin(), {"data", "import"});
    return run_bobby(world_, words);
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  void write_posts(const std::string& name, int count) {
    std::string bytes;
    for (int i = 0; i < count; ++i)
      bytes +=
          "A post about the number " + std::to_string(i * 7919) + ", which is not like others\n";
    write_file(path(name), bytes);
  }

  TemporaryFolder folder_;
  World world_{folder_.path()};
  data::testing::Folder archives_;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(DataImport, AnArchiveBecomesADatasetAndEveryCountIsExplained) {
  const fs::path zip = archives_.write_zip("twitter.zip", odd_archive());
  const Outcome outcome =
      run({"twitter", zip, "--out", "data", "--min-chars", "1", "--links", "keep", "--valid", "4"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(has(outcome.err, "twitter twitter.zip: 26 posts read, 16 taken; left out:\n"))
      << outcome.err;
  for (const char* line :
       {"         2  a reply\n", "         1  retweet\n", "         1  deleted by its writer\n",
        "         1  long text without its tweet\n", "         3  t.co links expanded\n",
        "data: 12 posts to train on (12 records), 4 to validate with"})
    EXPECT_TRUE(has(outcome.err, line)) << line << outcome.err;
  const std::string train = read_file(path("data/train.jsonl"));
  EXPECT_EQ(std::ranges::count(train, '\n'), 12);
  EXPECT_TRUE(train.starts_with(
      R"({"messages":[{"role":"user","content":"Write a post in your style"},{"role":"assistant","content":")"))
      << train;
  EXPECT_FALSE(has(train + read_file(path("data/valid.jsonl")), "somebody else"));
}

TEST_F(DataImport, JsonIsTheManifestAndQuietIsQuiet) {
  write_posts("posts.txt", 30);
  const Outcome json = run({"text", "posts.txt", "--out", "data", "--near", "0", "--json"});
  EXPECT_EQ(json.exit_code, 0) << json.err;
  EXPECT_EQ(json.err, "");
  auto printed = nlohmann::json::parse(json.out);
  EXPECT_EQ(printed["folder"], "data");
  EXPECT_EQ(printed["sources"][0]["train_posts"], 27);
  printed.erase("folder");
  EXPECT_EQ(printed, nlohmann::json::parse(read_file(path("data/manifest.json"))));
  const Outcome quiet = run({"text", "posts.txt", "--out", "again", "--near", "0", "-q"});
  EXPECT_EQ(quiet.exit_code, 0);
  EXPECT_EQ(quiet.out + quiet.err, "");
  for (const char* file : {"train.jsonl", "valid.jsonl", "manifest.json"})
    EXPECT_EQ(read_file(path("data") / file), read_file(path("again") / file)) << file;
}

TEST_F(DataImport, SeveralSourcesWithWeights) {
  write_posts("a.txt", 10);
  write_file(path("b.jsonl"), "{\"text\": \"Something else that was said in another place\"}\n");
  const Outcome outcome = run({"text", "a.txt", "--source", "jsonl:b.jsonl:3", "--out", "data",
                               "--near", "0", "--valid", "0", "--json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto printed = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(printed["sources"][0]["train_records"], 10);
  EXPECT_EQ(printed["sources"][1]["train_records"], 3);
  EXPECT_EQ(printed["sources"][1]["weight"], 3.0);
}

TEST_F(DataImport, PromptsComeFromAFileAndFromFlags) {
  write_posts("posts.txt", 40);
  write_file(path("prompts.txt"), "About numbers\n\nAbout likeness\n");
  const Outcome outcome = run({"text", "posts.txt", "--out", "data", "--near", "0", "--prompts",
                               "prompts.txt", "--prompt", "About posts"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string train = read_file(path("data/train.jsonl"));
  for (const char* prompt : {"About numbers", "About likeness", "About posts"})
    EXPECT_TRUE(has(train, prompt)) << prompt;
}

TEST_F(DataImport, AFolderIsNotWrittenOverUnlessAsked) {
  write_posts("posts.txt", 30);
  ASSERT_EQ(run({"text", "posts.txt", "--out", "data"}).exit_code, 0);
  const std::string before = read_file(path("data/train.jsonl"));
  const Outcome refused = run({"text", "posts.txt", "--out", "data", "--seed", "5"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_TRUE(has(refused.err, "--force replaces it")) << refused.err;
  EXPECT_EQ(read_file(path("data/train.jsonl")), before);
  EXPECT_EQ(run({"text", "posts.txt", "--out", "data", "--seed", "5", "--force"}).exit_code, 0);
  EXPECT_NE(read_file(path("data/train.jsonl")), before);
  write_file(path("data/thesis.txt"), "years of work");
  EXPECT_EQ(run({"text", "posts.txt", "--out", "data", "--force"}).exit_code, 2);
  EXPECT_EQ(read_file(path("data/thesis.txt")), "years of work");
}

TEST_F(DataImport, WhatFailsLeavesNothingBehind) {
  write_file(path("posts.txt"), "good enough to be taken\ncaf\xE9\n");
  const Outcome outcome = run({"text", "posts.txt", "--out", "data"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(has(outcome.err, "posts.txt: line 2: is not UTF-8")) << outcome.err;
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_FALSE(has(entry.path().filename().string(), "data")) << entry.path();
}

TEST_F(DataImport, CtrlCLeavesNothingBehind) {
  std::string block;
  for (int i = 0; i < 10000; ++i)
    block += "A post about the number " + std::to_string(i * 7919) + ", which is not like others\n";
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += block;
  write_file(path("posts.txt"), bytes);
  const Outcome outcome =
      interrupt_bobby(world_, {"data", "import", "text", "posts.txt", "--out", "data"}, kHasBegun);
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_EQ(outcome.err, "bobby: interrupted\n");
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_FALSE(has(entry.path().filename().string(), "data")) << entry.path();
}

TEST_F(DataImport, CtrlCEndsTheWaitForWhatNeverComes) {
  const Outcome outcome =
      interrupt_bobby(world_, {"data", "import", "text", "/dev/stdin", "--out", "data"}, kHasBegun);
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_EQ(outcome.err, "bobby: /dev/stdin: interrupted\n");
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(DataImport, WrongUsageSaysWhatIsMissing) {
  write_posts("posts.txt", 30);
  const auto expect_usage = [&](const std::vector<std::string>& words, const std::string& part) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_TRUE(has(outcome.err, part)) << outcome.err;
  };
  expect_usage({"text", "posts.txt"}, "--out: is missing");
  expect_usage({"--out", "data"}, "there is nothing to import");
  expect_usage({"twitter", "--out", "data"}, "needs the path");
  expect_usage({"twiter", "x.zip", "--out", "data"}, "did you mean twitter?");
  expect_usage({"--source", "posts.txt", "--out", "data"}, "KIND:PATH");
  expect_usage({"--source", "txt:posts.txt", "--out", "data"}, "did you mean text?");
  expect_usage({"text", "posts.txt:0", "--out", "data"}, "weight of posts.txt");
  expect_usage({"text", "posts.txt", "--out", "data", "--near", "2"}, "--near");
  expect_usage({"text", "posts.txt", "--out", "data", "--prompt", "<|im_end|>"}, "<|im_end|>");
}

TEST_F(DataImport, AMissingArchiveIsOneSentence) {
  const Outcome outcome = run({"twitter", "nowhere.zip", "--out", "data"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.err, "bobby: nowhere.zip: no such folder or file\n");
}

}  // namespace
}  // namespace bobby::e2e
