#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "e2e/tiny_model.h"

namespace bobby_api_test {

namespace e2e = bobby::e2e;

/// A folder with the tiny model and its adapter, and the binary to compare with.
class ApiTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<e2e::TemporaryFolder>();
    world_ = e2e::World{folder_->path()};
    made_ = e2e::make_tiny_model(world_);
  }
  static void TearDownTestSuite() { folder_.reset(); }
  void SetUp() override { ASSERT_EQ(made_.exit_code, 0) << made_.err; }

  static std::string at(const std::string& name) { return (folder_->path() / name).string(); }

  /// What `bobby post WORDS` writes with the tiny model.
  static std::vector<nlohmann::json> posts_of_binary(std::vector<std::string> words) {
    words.insert(words.begin(), "post");
    words.insert(words.end(), {"--json", "--model", "tiny"});
    const e2e::Outcome outcome = e2e::run_bobby(world_, words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    std::vector<nlohmann::json> posts;
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) posts.push_back(nlohmann::json::parse(line));
    return posts;
  }

  inline static std::unique_ptr<e2e::TemporaryFolder> folder_;
  inline static e2e::World world_;
  inline static e2e::Outcome made_;
};

}  // namespace bobby_api_test
