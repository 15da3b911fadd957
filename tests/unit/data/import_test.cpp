// From archives to the files of a dataset.

#include "data/import.h"

#include <algorithm>
#include <set>

#include "base/sha256.h"
#include "data/dataset_writer.h"
#include "data/plain_sources.h"
#include "data/twitter/twitter_archive.h"
#include "odd_archive.h"

namespace bobby::data {
namespace {

using namespace testing;

class ImportTest : public ::testing::Test {
 protected:
  ImportTest() { options_.prompts = {"Write a post"}; }

  void add_text(const std::string& name, std::string_view bytes, double weight = 1) {
    sources_.push_back({.kind = "text",
                        .name = name,
                        .weight = weight,
                        .source = *open_text(folder_.write(name, bytes), TextPosts::kLines)});
  }
  void add_jsonl(const std::string& name, std::string_view bytes) {
    sources_.push_back(
        {.kind = "jsonl", .name = name, .source = *open_jsonl(folder_.write(name, bytes))});
  }
  Result<ImportReport> import(const std::string& out = "out") {
    fs::create_directories(folder_.path() / out);
    auto report = import_posts(sources_, options_, folder_.path() / out, {});
    sources_.clear();
    return report;
  }
  ImportReport imported(const std::string& out = "out") {
    auto report = import(out);
    EXPECT_TRUE(report) << report.error().to_string();
    return report ? *std::move(report) : ImportReport{};
  }
  /// Messages of each line: role and content.
  std::vector<std::vector<std::pair<std::string, std::string>>> records(
      const std::string& file) const {
    std::istringstream stream(folder_.read(file));
    std::vector<std::vector<std::pair<std::string, std::string>>> records;
    for (std::string line; std::getline(stream, line);) {
      auto& messages = records.emplace_back();
      const auto object = Json::parse(line);
      for (const auto& message : object["messages"])
        messages.emplace_back(message["role"], message["content"]);
    }
    return records;
  }
  std::multiset<std::string> texts(const std::string& file) const {
    std::multiset<std::string> texts;
    for (const auto& messages : records(file)) texts.insert(messages.back().second);
    return texts;
  }

  Folder folder_;
  std::vector<ImportSource> sources_;
  ImportOptions options_;
};

std::string numbered(int count,
                     const std::string& words = "a post that stands alone in its words") {
  std::string bytes;
  for (int i = 0; i < count; ++i)
    bytes += std::to_string(i * 7919) + " " + words + " " + std::to_string(i * 104729) + "\n";
  return bytes;
}

TEST_F(ImportTest, EveryEntryOfTheOddArchiveIsAccountedFor) {
  const fs::path archive = folder_.write_zip("archive.zip", odd_archive());
  sources_.push_back(
      {.kind = "twitter", .name = "archive.zip", .source = *open_twitter_archive(archive, {})});
  options_.filter.languages = {"en"};
  options_.selection.valid = 2;
  const ImportReport report = imported();
  const SourceCounts& counts = report.sources[0].report.counts;
  auto expected = odd_left_out();
  expected["a reply"] = 2;                            // 6, 7
  expected["words about a post that it quotes"] = 1;  // 10
  expected["in another language"] = 1;                // 17
  expected["shorter than 20 characters"] = 6;         // 5, 14, 18, 20, 23, and 4 without its links
  EXPECT_EQ(counts.left_out, expected);
  EXPECT_EQ(counts.read, 26u) << "25 tweets and a long text without its tweet";
  EXPECT_EQ(counts.read, counts.taken + sum(counts.left_out));
  EXPECT_EQ(report.sources[0].train_posts + report.sources[0].valid_posts, counts.taken);
  EXPECT_EQ(report.files[0].records, counts.taken - 2);
  EXPECT_EQ(report.files[1].records, 2u);
}

TEST_F(ImportTest, RecordsAreInMlxLmsChatForm) {
  options_.system = "You write posts";
  add_jsonl("posts.jsonl",
            "{\"text\": \"a first post, with \\\"quotes\\\" and \xF0\x9F\x98\x80\"}\n"
            "{\"prompt\": \"About rain?\", \"completion\": \"It rained on the second day\"}\n");
  options_.selection.valid = 0;
  imported();
  const auto found = records("out/train.jsonl");
  ASSERT_EQ(found.size(), 2u);
  for (const auto& messages : found) {
    ASSERT_EQ(messages.size(), 3u);
    EXPECT_EQ(messages[0], (std::pair<std::string, std::string>("system", "You write posts")));
    EXPECT_EQ(messages[1].first, "user");
    EXPECT_EQ(messages[2].first, "assistant");
    const bool rain = messages[2].second.starts_with("It");
    EXPECT_EQ(messages[1].second, rain ? "About rain?" : "Write a post");
  }
  EXPECT_EQ(folder_.read("out/valid.jsonl"), "") << "asked for, and so is the file";
}

TEST_F(ImportTest, TheSameTwiceWritesTheSameBytes) {
  options_.prompts = {"one", "two", "three"};
  for (const std::string out : {"first", "second"}) {
    add_text("a.txt", numbered(200), 1.5);
    add_text("b.txt", numbered(100, "and others that are not like those"));
    imported(out);
  }
  for (const std::string file : {"/train.jsonl", "/valid.jsonl", "/manifest.json"}) {
    EXPECT_EQ(folder_.read("first" + file), folder_.read("second" + file));
    EXPECT_FALSE(folder_.read("first" + file).empty());
  }
  options_.selection.seed = 9;
  add_text("a.txt", numbered(200), 1.5);
  add_text("b.txt", numbered(100, "and others that are not like those"));
  imported("third");
  EXPECT_NE(folder_.read("first/train.jsonl"), folder_.read("third/train.jsonl"));
}

TEST_F(ImportTest, OfDuplicatesTheOneThatWeighsMostStays) {
  const std::string same = "This was posted in both of the places at once\n";
  add_text("light.txt", same + "Only in the first place, and nowhere else\n");
  add_text("heavy.txt", same + same + "This was posted in both of the places, at once!\n", 3);
  options_.selection.valid = 0;
  const ImportReport report = imported();
  EXPECT_EQ(report.sources[0].report.counts.left_out,
            (std::map<std::string, std::uint64_t>{{"the same as another post", 1}}));
  EXPECT_EQ(report.sources[1].report.counts.left_out,
            (std::map<std::string, std::uint64_t>{{"the same as another post", 1},
                                                  {"nearly the same as another post", 1}}));
  EXPECT_EQ(report.sources[1].train_posts, 1u);
  EXPECT_EQ(report.sources[1].train_records, 3u);
  EXPECT_EQ(texts("out/train.jsonl").count("This was posted in both of the places at once"), 3u);
}

TEST_F(ImportTest, KeptDuplicatesStandOnOneSideOfTheSplit) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    const std::string text = "the words of number " + std::to_string(i * 7919) + " in full length";
    bytes += text + "\n" + text + "!\n" + text + "\n";
  }
  add_text("posts.txt", bytes);
  options_.keep_duplicates = true;
  options_.selection.valid = 0.3;
  const ImportReport report = imported();
  EXPECT_TRUE(report.sources[0].report.counts.left_out.empty());
  const auto train = texts("out/train.jsonl");
  const auto valid = texts("out/valid.jsonl");
  EXPECT_EQ(train.size() + valid.size(), 300u);
  EXPECT_GE(valid.size(), 90u);
  const auto plain = [](std::string text) {
    if (text.ends_with('!')) text.pop_back();
    return text;
  };
  std::set<std::string> trained;
  for (const std::string& text : train) trained.insert(plain(text));
  for (const std::string& text : valid) EXPECT_FALSE(trained.contains(plain(text))) << text;
}

TEST_F(ImportTest, PromptsAreDrawnByTheWordsNotByThePlace) {
  options_.prompts = {"one", "two", "three", "four"};
  const auto prompt_by_text = [&](const std::string& file) {
    std::map<std::string, std::string> prompts;
    for (const auto& messages : records(file)) prompts[messages[1].second] = messages[0].second;
    return prompts;
  };
  options_.selection.valid = 0;
  add_text("a.txt", numbered(400));
  imported("first");
  add_text("a.txt", "a new post that now stands before all others\n" + numbered(400));
  imported("second");
  auto before = prompt_by_text("first/train.jsonl");
  auto after = prompt_by_text("second/train.jsonl");
  std::map<std::string, int> uses;
  for (const auto& [text, prompt] : before) {
    EXPECT_EQ(after[text], prompt);
    ++uses[prompt];
  }
  // 400 draws of four: 100 each, give or take five standard deviations of 8.7.
  for (const std::string& prompt : options_.prompts) EXPECT_NEAR(uses[prompt], 100, 44) << prompt;
}

TEST_F(ImportTest, TheManifestSaysWhatWasDone) {
  add_text("posts.txt", numbered(50) + "short\n", 2);
  options_.near = 0;
  const ImportReport report = imported();
  const auto manifest = Json::parse(folder_.read("out/manifest.json"));
  EXPECT_EQ(manifest["format"], "bobby-dataset");
  const auto& source = manifest["sources"][0];
  EXPECT_EQ(source["kind"], "text");
  EXPECT_EQ(source["name"], "posts.txt");
  EXPECT_EQ(source["weight"], 2.0);
  EXPECT_EQ(source["read"], 51);
  EXPECT_EQ(source["left_out"], (Json{{"shorter than 20 characters", 1}}));
  const std::string bytes = folder_.read("posts.txt");
  EXPECT_EQ(source["files"][0]["sha256"], sha256_hex(std::as_bytes(std::span(bytes))));
  EXPECT_EQ(source["files"][0]["bytes"], bytes.size());
  EXPECT_EQ(source["train_records"], 90);
  for (const auto& file : manifest["files"]) {
    const std::string written = folder_.read("out/" + file["name"].get<std::string>());
    EXPECT_EQ(file["sha256"], sha256_hex(std::as_bytes(std::span(written))));
    EXPECT_EQ(file["bytes"], written.size());
    EXPECT_EQ(file["records"], std::ranges::count(written, '\n'));
  }
  EXPECT_EQ(folder_.read("out/manifest.json").find(folder_.path().string()), std::string::npos)
      << "no path of this machine";
}

TEST_F(ImportTest, NothingLeftIsAnErrorThatSaysWhy) {
  add_text("posts.txt", "short\nalso\n\n");
  const auto report = import();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(report.error().to_string(),
            "no post is left to train on: found 2 posts; shorter than 20 characters: 2");
}

TEST_F(ImportTest, NothingButTheDatasetIsLeftBehind) {
  add_text("posts.txt", numbered(20));
  imported();
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_.path() / "out"))
    names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"train.jsonl", "valid.jsonl", "manifest.json"}));
}

TEST(CheckReplaceable, OnlyADatasetIsReplaced) {
  Folder folder;
  EXPECT_TRUE(check_replaceable(folder.path() / "none"));
  folder.write("train.jsonl", "");
  folder.write("manifest.json", "");
  EXPECT_TRUE(check_replaceable(folder.path()));
  folder.write("thesis.txt", "");
  const auto checked = check_replaceable(folder.path());
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().to_string().find("thesis.txt"), std::string::npos);
}

}  // namespace
}  // namespace bobby::data
