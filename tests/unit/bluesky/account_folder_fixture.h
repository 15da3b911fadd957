#pragma once

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "bluesky/account_files.h"
#include "unit/bluesky/stub_server.h"

namespace bobby::bluesky {

/// A folder for an account's files, which goes with the test.
class AccountFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root_ = std::filesystem::temp_directory_path() /
            ("bobby-bluesky-" + std::to_string(::getpid()) + "-" + info->name());
    folder_ = account_folder(root_ / "accounts", StubServer::kDid);
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  std::string text_of_file(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(folder_ / name).rdbuf();
    return text.str();
  }
  void write_file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::trunc) << text;
    ::chmod((folder_ / name).c_str(), 0600);
  }

  std::filesystem::path root_;
  std::filesystem::path folder_;
};

}  // namespace bobby::bluesky
