#include "base/output_folder.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>

namespace bobby {
namespace {

namespace fs = std::filesystem;

class OutputFolderTest : public testing::Test {
 protected:
  OutputFolderTest() {
    std::string name = (fs::temp_directory_path() / "bobby-base-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~OutputFolderTest() override { fs::remove_all(root_); }

  static std::string read(const fs::path& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::size_t entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(root_), fs::directory_iterator()));
  }

  fs::path root_;
};

TEST_F(OutputFolderTest, AppearsWholeOrNotAtAll) {
  {
    auto folder = OutputFolder::create(root_ / "out");
    ASSERT_TRUE(folder) << folder.error().to_string();
    ASSERT_TRUE(folder->write_text("a.txt", "one"));
    EXPECT_FALSE(fs::exists(root_ / "out"));
  }
  EXPECT_EQ(entries(), 0u) << "without commit() nothing is left behind";
  auto folder = OutputFolder::create(root_ / "out/");
  ASSERT_TRUE(folder->write_text("a.txt", "one"));
  ASSERT_TRUE(folder->commit());
  EXPECT_EQ(read(root_ / "out/a.txt"), "one");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(OutputFolderTest, NothingIsReplacedUnlessAsked) {
  fs::create_directory(root_ / "out");
  std::ofstream(root_ / "out/old.txt") << "old";
  const auto refused = OutputFolder::create(root_ / "out");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  {
    auto folder = OutputFolder::create(root_ / "out", OutputFolder::Existing::kReplace);
    ASSERT_TRUE(folder) << folder.error().to_string();
    EXPECT_EQ(read(root_ / "out/old.txt"), "old") << "until the new one is whole";
  }
  EXPECT_EQ(read(root_ / "out/old.txt"), "old") << "and when it never is";
  auto folder = OutputFolder::create(root_ / "out", OutputFolder::Existing::kReplace);
  ASSERT_TRUE(folder->write_text("new.txt", "new"));
  ASSERT_TRUE(folder->commit());
  EXPECT_FALSE(fs::exists(root_ / "out/old.txt"));
  EXPECT_EQ(read(root_ / "out/new.txt"), "new");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(OutputFolderTest, AFileIsNeverReplaced) {
  std::ofstream(root_ / "out") << "a file";
  EXPECT_FALSE(OutputFolder::create(root_ / "out", OutputFolder::Existing::kReplace));
}

}  // namespace
}  // namespace bobby
