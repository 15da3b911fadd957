// bobby data inspect on a small training set, whose report is in
// tests/e2e/data_inspect/report.json.

#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>

#include "tiny_model.h"

namespace bobby::e2e {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class DataInspect : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    world_ = World{folder_->path()};
    ASSERT_EQ(make_tiny_model(world_).exit_code, 0);
    fs::copy(fs::path(BOBBY_SOURCE_DIR) / "tests/e2e/data_inspect", world_.folder / "set");
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static Outcome run(std::vector<std::string> words) {
    words.insert(words.begin(), {"data", "inspect"});
    return run_bobby(world_, words);
  }

  static std::unique_ptr<TemporaryFolder> folder_;
  static World world_;
};
std::unique_ptr<TemporaryFolder> DataInspect::folder_;
World DataInspect::world_;

// The names of the JSON are kept; docs/guides/data-inspect.md describes them.
TEST_F(DataInspect, TheReportIsTheOneThatIsKept) {
  const Outcome outcome =
      run({"set", "--json", "--model", "tiny", "--max-seq-length", "200", "--samples", "2"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const auto found = Json::parse(outcome.out);
  const auto kept =
      Json::parse(read_file(fs::path(BOBBY_SOURCE_DIR) / "tests/e2e/data_inspect/report.json"));
  const std::string file = (fs::temp_directory_path() / "bobby-found-report.json").string();
  if (found.dump(1) != kept.dump(1)) write_file(file, found.dump(1) + "\n");
  EXPECT_TRUE(found.dump(1) == kept.dump(1)) << "what was found is in " << file;
}

TEST_F(DataInspect, WhatLooksWrongIsSaidInWords) {
  const Outcome outcome = run({"set", "--model", "tiny", "--max-seq-length", "200"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find('\033'), std::string::npos);
  for (const char* words :
       {"1 record is in both train.jsonl and valid.jsonl", "7.7% of train.jsonl are cut at 200",
        "1 record is nearly the same in both", "train.jsonl has 13 records",
        "archive.zip: 30 read, 16 taken", "9  left out: a reply", "read   <|im_start|>user"})
    EXPECT_TRUE(has(outcome.out, words)) << words << "\n" << outcome.out;
}

TEST_F(DataInspect, WithoutAModelThereAreNoTokens) {
  const Outcome outcome = run({"set", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto report = Json::parse(outcome.out);
  EXPECT_TRUE(report["model"].is_null());
  EXPECT_TRUE(report["splits"][0]["tokens"].is_null());
  EXPECT_EQ(report["samples"].size(), 6u);
}

TEST_F(DataInspect, ThePageIsWrittenBesideTheText) {
  const Outcome outcome = run({"set", "--html", "page.html", "--samples", "20"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.err, "page.html"));
  const std::string page = read_file(world_.folder / "page.html");
  EXPECT_TRUE(has(page, "&lt;b&gt;Fine.&lt;/b&gt;"));
  EXPECT_FALSE(has(page, "<b>Fine."));
  EXPECT_EQ(page, (run({"set", "--html", "page.html", "--samples", "20", "-q"}),
                   read_file(world_.folder / "page.html")));
}

TEST_F(DataInspect, MistakesAreToldWithTheirPlace) {
  write_file(world_.folder / "bad/train.jsonl", "{\"text\":\"a\"}\n{\"text\":\n");
  const Outcome bad = run({"bad"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(bad.out, "");
  EXPECT_TRUE(has(bad.err, "train.jsonl:2: is not JSON")) << bad.err;
  EXPECT_EQ(run({"absent"}).exit_code, 1);
  EXPECT_EQ(run({}).exit_code, 2);
  EXPECT_EQ(run({"set", "--max-seq-length", "1"}).exit_code, 2);
  const Outcome unwritable = run({"set", "--html", "absent/page.html"});
  EXPECT_EQ(unwritable.exit_code, 1);
  EXPECT_TRUE(has(unwritable.err, "absent/page.html: cannot be written")) << unwritable.err;
}

}  // namespace
}  // namespace bobby::e2e
