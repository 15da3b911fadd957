#include "base/memory_limit.h"

#include <fstream>
#include <gtest/gtest.h>

namespace bobby {
namespace {

namespace fs = std::filesystem;

class MemoryLimitTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / (std::string("memory_limit_") + test->name());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const fs::path& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  std::optional<std::uint64_t> left() const {
    return cgroup_memory_left(folder_ / "self", folder_ / "mount");
  }

  fs::path folder_;
};

TEST_F(MemoryLimitTest, NoFilesNoLimit) {
  EXPECT_EQ(left(), std::nullopt);
  EXPECT_GT(available_memory(), std::uint64_t{1} << 20);
}

TEST_F(MemoryLimitTest, Version2SmallestOfGroupAndParents) {
  write("self", "0::/outer/inner\n");
  write("mount/outer/inner/memory.max", "max\n");
  write("mount/outer/inner/memory.current", "10\n");
  EXPECT_EQ(left(), std::nullopt);
  write("mount/outer/memory.max", "1000\n");
  write("mount/outer/memory.current", "300\n");
  EXPECT_EQ(left(), 700u);
  write("mount/memory.max", "200\n");
  write("mount/memory.current", "300\n");
  EXPECT_EQ(left(), 0u);
}

TEST_F(MemoryLimitTest, Version1) {
  write("self", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n");
  write("mount/memory/memory.limit_in_bytes", "5000\n");
  write("mount/memory/memory.usage_in_bytes", "2000\n");
  write("mount/cpu/memory.limit_in_bytes", "1\n");
  write("mount/cpu/memory.usage_in_bytes", "1\n");
  EXPECT_EQ(left(), 3000u);
}

}  // namespace
}  // namespace bobby
