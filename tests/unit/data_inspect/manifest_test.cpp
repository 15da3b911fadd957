#include "data/inspect/manifest.h"

#include <fstream>
#include <gtest/gtest.h>

namespace bobby::inspection {
namespace {

class ManifestTest : public testing::Test {
 protected:
  ManifestTest() : folder_(std::filesystem::path(testing::TempDir()) / "bobby-manifest-test") {
    std::filesystem::create_directories(folder_);
  }
  ~ManifestTest() override { std::filesystem::remove_all(folder_); }

  Result<std::optional<Manifest>> read(const std::string& text) {
    std::ofstream(folder_ / "manifest.json") << text;
    return read_manifest(folder_);
  }
  std::string error_of(const std::string& text) {
    const auto found = read(text);
    EXPECT_FALSE(found.has_value()) << text;
    return found ? "" : found.error().to_string();
  }

  std::filesystem::path folder_;
};

TEST_F(ManifestTest, SourcesCountsAndFilesAreRead) {
  const auto found = read(R"({"format":"bobby-dataset","version":1,"seed":3,
    "settings":{"min_chars":20,"languages":["de","en"],"odd":[[1]]},
    "sources":[{"kind":"twitter","name":"a.zip","weight":2.5,"read":10,"taken":6,
      "left_out":{"a reply":4},"noted":{"links dropped":2},
      "train_posts":5,"train_records":12,"valid_posts":1}],
    "files":[{"name":"train.jsonl","sha256":"ab"}]})");
  ASSERT_TRUE(found.has_value() && found->has_value());
  const Manifest& manifest = **found;
  ASSERT_EQ(manifest.sources.size(), 1u);
  EXPECT_EQ(manifest.sources[0].left_out.at("a reply"), 4u);
  EXPECT_EQ(manifest.sources[0].noted.at("links dropped"), 2u);
  EXPECT_DOUBLE_EQ(manifest.sources[0].weight, 2.5);
  EXPECT_EQ(manifest.copies(), 7);
  EXPECT_EQ(manifest.file_sha256.at("train.jsonl"), "ab");
  const std::vector<std::pair<std::string, std::string>> settings = {
      {"min_chars", "20"}, {"languages", "de, en"}, {"odd", "..."}};
  EXPECT_EQ(manifest.settings, settings);
}

TEST_F(ManifestTest, NoneIsNone) {
  const auto found = read_manifest(folder_);
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->has_value());
}

TEST_F(ManifestTest, WhatIsSomethingElseIsRefused) {
  EXPECT_NE(error_of("[]").find("is not a JSON object"), std::string::npos);
  EXPECT_NE(error_of("{\"format\":\"webpack\"}").find("bobby data import"), std::string::npos);
  EXPECT_NE(error_of(R"({"format":"bobby-dataset","version":2})").find("version"),
            std::string::npos);
  const std::string begin = R"({"format":"bobby-dataset","version":1,)";
  EXPECT_NE(error_of(begin + R"("sources":{}})").find("key 'sources'"), std::string::npos);
  EXPECT_NE(error_of(begin + R"("sources":[7]})").find("an array of objects"), std::string::npos);
  EXPECT_NE(error_of(begin + R"("sources":[{"read":-1}]})").find("key 'read'"), std::string::npos);
  EXPECT_NE(error_of(begin + R"("sources":[{"left_out":{"x":"y"}}]})").find("key 'left_out'"),
            std::string::npos);
}

TEST_F(ManifestTest, DeepNestingIsNotFollowed) {
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  const auto found =
      read(R"({"format":"bobby-dataset","version":1,"settings":{"x":)" + deep + "}}");
  ASSERT_TRUE(found.has_value() && found->has_value());
  EXPECT_EQ((*found)->settings[0].second, "...");
}

}  // namespace
}  // namespace bobby::inspection
