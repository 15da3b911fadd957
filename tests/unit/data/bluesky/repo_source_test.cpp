// Repositories as files: right ones, and each way in which a forged or damaged one is found out.

#include "data/bluesky/repo_source.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <vector>

#include "data/bluesky/car_file.h"
#include "data/bluesky/repo_tree.h"
#include "unit/data/bluesky/repo_builder.h"

namespace bobby::data {
namespace {

using nlohmann::json;
using namespace std::string_literals;

constexpr const char* kPosts = "app.bsky.feed.post/";

class RepoSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    file_ = std::filesystem::path(testing::TempDir()) /
            ("bobby_"s + info->test_suite_name() + "_" + info->name() + ".car");
  }
  void TearDown() override { std::filesystem::remove(file_); }

  Result<void> read(const std::string& car) {
    std::ofstream(file_, std::ios::binary) << car;
    posts_.clear();
    report_ = {};
    return read_file([&](SourcePost post) -> Result<void> {
      posts_.push_back(std::move(post));
      return {};
    });
  }

  Result<void> read_file(const PostSink& sink) {
    BOBBY_TRY(const auto source, open_bluesky_repo(file_));
    return source->read(sink, report_, {.progress = {}, .temporary_folder = {}});
  }

  /// What reading says, with the file's name taken away.
  std::string problem(const std::string& car) {
    const auto done = read(car);
    if (done) return "nothing is wrong";
    const std::string text = done.error().to_string();
    EXPECT_TRUE(text.starts_with(file_.string() + ": ")) << text;
    return text.substr(file_.string().size() + 2);
  }

  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const SourcePost& post : posts_) all.push_back(post.text);
    return all;
  }

  std::filesystem::path file_;
  std::vector<SourcePost> posts_;
  SourceReport report_;
};

std::string key(int number) {
  const std::string digits = std::to_string(number);
  return kPosts + "3k"s + std::string(4 - digits.size(), '0') + digits;
}

testing::AssertionResult has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "\"" << text << "\" has no \"" << part << "\"";
}

TEST_F(RepoSourceTest, ReadsPostsInTheOrderOfTheirKeysAndCountsTheRest) {
  std::map<std::string, json> records;
  for (int i = 0; i < 300; ++i) records[key(i)] = post("post " + std::to_string(i));
  records["app.bsky.feed.like/3k2"] = {{"$type", "app.bsky.feed.like"}};
  records["app.bsky.feed.repost/3k2"] = {{"$type", "app.bsky.feed.repost"}};
  records["app.bsky.graph.follow/3k2"] = {{"$type", "app.bsky.graph.follow"}};
  records["app.bsky.graph.follow/3k3"] = {{"$type", "app.bsky.graph.follow"}};
  const auto done = read(repo_car(records));
  ASSERT_TRUE(done) << done.error().to_string();
  ASSERT_EQ(posts_.size(), 300U);
  std::size_t i = 0;
  for (const auto& [name, value] : records) {
    if (!name.starts_with(kPosts)) continue;
    EXPECT_EQ(posts_[i].text, value["text"]);
    EXPECT_EQ(posts_[i++].id, "at://"s + kDid + "/" + name);
  }
  EXPECT_EQ(report_.counts.read, 304U);
  const std::map<std::string, std::uint64_t> left_out = {
      {"a repost", 1},
      {"a record of app.bsky.feed.like, not a post", 1},
      {"a record of app.bsky.graph.follow, not a post", 2}};
  EXPECT_EQ(report_.counts.left_out, left_out);
  ASSERT_EQ(report_.files.size(), 1U);
  EXPECT_EQ(report_.files[0].bytes, std::filesystem::file_size(file_));
  EXPECT_EQ(report_.files[0].sha256, *sha256_file(file_));
}

TEST_F(RepoSourceTest, AnEmptyRepositoryHasNoPosts) {
  ASSERT_TRUE(read(repo_car({})));
  EXPECT_EQ(report_.counts.read, 0U);
}

TEST_F(RepoSourceTest, BlocksMayLieInAnyOrderAndTwice) {
  auto blocks = repo_blocks({{key(1), post("one")}, {key(2), post("two")}});
  const Cid root = blocks.back().cid;
  std::reverse(blocks.begin(), blocks.end());
  blocks.push_back(blocks[1]);
  blocks.push_back(block_of({{"what", "nobody asks for"}}));
  ASSERT_TRUE(read(car(root, blocks)));
  EXPECT_EQ(texts(), (std::vector<std::string>{"one", "two"}));
}

TEST_F(RepoSourceTest, TheSinksErrorIsItsOwn) {
  std::ofstream(file_, std::ios::binary) << repo_car({{key(1), post("one")}});
  const auto done =
      read_file([](const SourcePost&) { return Result<void>(fail({.problem = "full"})); });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().to_string(), "full");
}

// real_repo.car: what a PDS gave as the repository of an account that tests/pds/server.mjs filled.
TEST_F(RepoSourceTest, ReadsWhatARealServerWrote) {
  std::filesystem::copy_file(
      std::filesystem::path(BOBBY_SOURCE_DIR) / "tests/unit/data/bluesky/real_repo.car", file_);
  ASSERT_TRUE(read_file([&](SourcePost post) -> Result<void> {
    posts_.push_back(std::move(post));
    return {};
  }));
  ASSERT_EQ(posts_.size(), 18U);
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(posts_[i].text,
              "Plain post number " + std::to_string(i) + ", of which there are many");
    EXPECT_EQ(posts_[i].time, 1711929600 + static_cast<std::int64_t>(i));
  }
  const auto expect = [&](std::size_t at, const char* text, bool reply, bool quote) {
    EXPECT_EQ(posts_[at].text, text);
    EXPECT_EQ(posts_[at].reply, reply) << text;
    EXPECT_EQ(posts_[at].quote, quote) << text;
  };
  expect(12, "Grüße aus Bern 🏔️", false, false);
  EXPECT_EQ(posts_[12].language, "de");
  expect(13, "grün: https://example.com/a-long-path?to=it or here", false, false);
  expect(14, "An answer to bob", true, false);
  expect(15, "My own thread goes on", false, false);
  expect(16, "An aside on that", false, false);
  expect(17, "What I think of it", false, true);
  const std::map<std::string, std::uint64_t> left_out = {
      {"a picture or a link, without words", 1},
      {"a record of app.bsky.actor.profile, not a post", 1},
      {"a record of app.bsky.feed.like, not a post", 1},
      {"a record of app.bsky.graph.follow, not a post", 1},
      {"a repost", 1}};
  EXPECT_EQ(report_.counts.left_out, left_out);
  EXPECT_EQ(report_.counts.read, 23U);
  EXPECT_EQ(report_.counts.noted.at("links written out in full"), 1U);
}

TEST_F(RepoSourceTest, FilesThatAreNoneSaySo) {
  EXPECT_TRUE(has(problem(""), "has no header"));
  EXPECT_TRUE(has(problem("{\"not\": \"a CAR file\"}"), "has no header"));
  EXPECT_TRUE(has(problem(std::string(100, '\xff')), "has no header"));
  EXPECT_TRUE(has(problem("\xff\xff\x03"s + std::string(70'000, ' ')), "has no header"));
  const std::string other = cbor({{"version", 2}});
  EXPECT_TRUE(has(problem(varint(other.size()) + other), "another version"));
  const std::string rootless = cbor({{"roots", json::array()}, {"version", 1}});
  EXPECT_TRUE(has(problem(varint(rootless.size()) + rootless), "without a version and a root"));
  std::filesystem::remove(file_);
  const auto missing = read_file({});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  file_ = testing::TempDir();
  const auto folder = read_file({});
  ASSERT_FALSE(folder);
  EXPECT_TRUE(has(folder.error().to_string(), "is no plain file"));
  file_.clear();
}

TEST_F(RepoSourceTest, EveryCutIsFound) {
  const std::string whole = repo_car({{key(1), post("one")}, {key(2), post("two")}});
  ASSERT_TRUE(read(whole));
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(read(whole.substr(0, length))) << length;
}

TEST_F(RepoSourceTest, EveryFlippedBitIsFound) {
  const std::string whole = repo_car({{key(1), post("one")}});
  const std::size_t header = car_header(cid_of("")).size();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << at % 8));
    EXPECT_FALSE(read(changed)) << at << (at < header ? ", of the header" : "");
  }
}

TEST_F(RepoSourceTest, AForgedBlockIsFoundEvenWhereNobodyLooks) {
  auto blocks = repo_blocks({{key(1), post("one")}});
  const Cid root = blocks.back().cid;
  blocks.insert(blocks.begin(), {.cid = cid_of("one thing"), .bytes = "another"});
  EXPECT_TRUE(has(problem(car(root, blocks)), "is not what its CID"));
  EXPECT_TRUE(has(problem(car(root, blocks)), cid_of("one thing").to_string()));
}

TEST_F(RepoSourceTest, HugeAndEmptyLengthsAreRefused) {
  const std::string header = car_header(cid_of("x"));
  EXPECT_TRUE(has(problem(header + varint((1ULL << 63) - 1) + "x"), "too long"));
  EXPECT_TRUE(has(problem(header + varint(1ULL << 40) + "x"), "too long"));
  EXPECT_TRUE(has(problem(header + varint(1000) + "x"), "goes on past the end"));
  EXPECT_TRUE(has(problem(header + std::string(20, '\xff')), "no length"));
  EXPECT_TRUE(has(problem(header + "\0"s), "CID"));
}

TEST_F(RepoSourceTest, OtherKindsOfCidAreNamed) {
  const std::string header = car_header(cid_of("x"));
  const auto with = [&](const std::string& cid) {
    return header + varint(cid.size() + 1) + cid + "x";
  };
  EXPECT_TRUE(has(problem(with("\x12\x20"s + std::string(32, 'x'))), "another version"));
  EXPECT_TRUE(has(problem(with("\1\x70\x12\x20"s + std::string(32, 'x'))), "another codec"));
  EXPECT_TRUE(has(problem(with("\1\x71\x13\x40"s + std::string(64, 'x'))), "another digest"));
  EXPECT_TRUE(has(problem(with("\1\x71\0\1x"s)), "another digest"));
}

TEST_F(RepoSourceTest, AMissingBlockIsNamed) {
  auto blocks = repo_blocks({{key(1), post("one")}, {key(2), post("two")}});
  const Cid root = blocks.back().cid;
  auto without_record = blocks;
  without_record.erase(without_record.begin());
  EXPECT_TRUE(has(problem(car(root, without_record)), "record " + key(1)));
  EXPECT_TRUE(has(problem(car(root, without_record)), "export the whole repository"));
  blocks.pop_back();
  EXPECT_TRUE(has(problem(car(root, blocks)), "has no block " + root.to_string()));
}

// Trees whose nodes are given: the first is the root.
class TreeTest : public RepoSourceTest {
 protected:
  std::string tree_problem(const std::vector<json>& nodes) {
    std::vector<Block> blocks;
    for (const json& one : nodes) blocks.push_back(block_of(one));
    return block_problem(std::move(blocks));
  }

  std::string block_problem(std::vector<Block> blocks) {
    const Block top = block_of(commit(blocks.front().cid));
    blocks.push_back(top);
    blocks.push_back(record_);
    return problem(car(top.cid, blocks));
  }

  const Block record_ = block_of(post("words"));
  const Cid it_ = record_.cid;
};

TEST_F(TreeTest, KeysOutOfOrderAreFound) {
  EXPECT_TRUE(
      has(tree_problem({node({entry(key(2), 0, it_), entry(key(1), 0, it_)})}), "out of order"));
  EXPECT_TRUE(has(tree_problem({node({entry(key(1), 0, it_), entry(key(1), 0, it_)})}), "twice"));
  const json left = node({entry(key(5), 0, it_)});
  EXPECT_TRUE(
      has(tree_problem({node({entry(key(1), 0, it_)}, block_of(left).cid), left}), "out of order"));
  const json right = node({entry(key(3), 0, it_)});
  EXPECT_TRUE(
      has(tree_problem(
              {node({entry(key(1), 0, it_, block_of(right).cid), entry(key(2), 0, it_)}), right}),
          "out of order"));
}

TEST_F(TreeTest, ASubtreeThatIsMetTwiceIsFound) {
  const json shared = node({entry(key(5), 0, it_)});
  const Cid cid = block_of(shared).cid;
  EXPECT_TRUE(
      has(tree_problem({node({entry(key(1), 0, it_, cid), entry(key(9), 0, it_, cid)}), shared}),
          "out of order"));
  const json nothing = node({});
  EXPECT_TRUE(has(tree_problem({node({entry(key(1), 0, it_, block_of(nothing).cid)}), nothing}),
                  "holds nothing"));
}

TEST_F(TreeTest, PrefixesMustBeThere) {
  EXPECT_TRUE(has(tree_problem({node({entry(key(1), 1, it_)})}), "shares more"));
  EXPECT_TRUE(
      has(tree_problem({node({entry(key(1), 0, it_), entry("x", 9999, it_)})}), "shares more"));
  EXPECT_EQ(tree_problem({node({entry(key(1), 0, it_), entry("9", key(1).size() - 1, it_)})}),
            "nothing is wrong");
}

TEST_F(TreeTest, KeysMustBeRecordKeys) {
  for (const std::string& bad :
       {"app.bsky.feed.post"s, "/a"s, "a/"s, "a/b/c"s, "a b/c"s, "a/b\x01"s, "a/\xc3\xbc"s, "a/.."s,
        "a/"s + std::string(1100, 'x')})
    EXPECT_TRUE(has(tree_problem({node({entry(bad, 0, it_)})}), "not COLLECTION/RECORD")) << bad;
}

TEST_F(TreeTest, WhatIsNoNodeIsRefused) {
  EXPECT_TRUE(has(tree_problem({json(1)}), "is no node"));
  EXPECT_TRUE(has(tree_problem({{{"e", 1}, {"l", nullptr}}}), "is no node"));
  EXPECT_TRUE(has(tree_problem({{{"e", json::array()}, {"l", 1}}}), "is no node"));
  EXPECT_TRUE(has(tree_problem({node({json(1)})}), "missing or wrong"));
  json wrong = entry(key(1), 0, it_);
  wrong["p"] = -1;
  EXPECT_TRUE(has(tree_problem({node({wrong})}), "missing or wrong"));
  wrong = entry(key(1), 0, it_);
  wrong["k"] = "text";
  EXPECT_TRUE(has(tree_problem({node({wrong})}), "missing or wrong"));
}

TEST_F(TreeTest, ADeepTreeIsRefusedBeforeItCostsAnything) {
  std::vector<json> nodes = {node({entry(key(1), 0, it_)})};
  for (int depth = 0; depth < 1000; ++depth)
    nodes.insert(nodes.begin(), node({}, block_of(nodes.front()).cid));
  EXPECT_TRUE(has(tree_problem(nodes), "layers deep"));
}

TEST_F(TreeTest, BytesThatAreNoCborAreRefused) {
  const std::string deep(100'000, '\x81');
  EXPECT_TRUE(has(block_problem({{.cid = cid_of(deep), .bytes = deep}}), "nested"));
  const std::string open =
      "\xbf\x61"
      "e\x80\xff";
  EXPECT_TRUE(has(block_problem({{.cid = cid_of(open), .bytes = open}}), "indefinite"));
  const Block bad = {.cid = cid_of("\xff"), .bytes = "\xff"};
  EXPECT_TRUE(has(block_problem({block_of(node({entry(key(1), 0, bad.cid)})), bad}),
                  "record " + key(1) + ": is not DAG-CBOR"));
}

TEST_F(TreeTest, WhatIsNoCommitIsRefused) {
  const auto with = [&](const json& value) {
    const Block block = block_of(value);
    return problem(car(block.cid, {block}));
  };
  EXPECT_TRUE(has(with(post("no commit")), "is no commit"));
  json other = commit(it_);
  other["version"] = 4;
  EXPECT_TRUE(has(with(other), "another version"));
  other = commit(it_);
  other["data"] = "text";
  EXPECT_TRUE(has(with(other), "is no commit"));
  other = commit(it_);
  other["did"] = "alice";
  EXPECT_TRUE(has(with(other), "is no commit"));
}

// No real file can hold a cycle: its blocks' names are their digests. So the walk is given blocks
// that lie about their names.
TEST(WalkRecords, EndsInACycleToo) {
  const Cid here = cid_of("here");
  const Cid there = cid_of("there");
  const auto walk = [&](const json& at_here, const json& at_there) {
    std::string bytes;
    return walk_records(
        here,
        [&](const Cid& cid) -> Result<Bytes> {
          bytes = cbor(cid == here ? at_here : at_there);
          return bytes_of(bytes);
        },
        [](std::string_view, const Cid&) { return Result<void>(); });
  };
  const Cid record = cid_of("record");
  const json one = node({entry(key(1), 0, record, there)});
  EXPECT_TRUE(has(walk(one, one).error().to_string(), "out of order"));
  EXPECT_TRUE(has(walk(node({}, there), node({}, here)).error().to_string(), "layers deep"));
  const json wide = node({entry(key(1), 0, record)}, here);
  EXPECT_TRUE(has(walk(wide, wide).error().to_string(), "layers deep"));
  EXPECT_TRUE(has(walk(one, node({}, here)).error().to_string(), "out of order"));
}

}  // namespace
}  // namespace bobby::data
