#include "base/cpu_quota.h"

#include <fstream>
#include <gtest/gtest.h>

namespace bobby {
namespace {

namespace fs = std::filesystem;

class CpuQuotaTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / (std::string("cpu_quota_") + test->name());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const fs::path& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  std::optional<double> quota() const { return cpu_quota(folder_ / "self", folder_ / "mount"); }

  fs::path folder_;
};

TEST_F(CpuQuotaTest, NoFilesNoLimit) {
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuotaTest, Version2SmallestOfGroupAndParents) {
  write("self", "0::/outer/inner\n");
  write("mount/outer/inner/cpu.max", "400000 100000\n");
  EXPECT_EQ(quota(), 4.0);
  write("mount/outer/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 1.5);
  write("mount/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 1.5);
}

TEST_F(CpuQuotaTest, Version2MaxIsNoLimit) {
  write("self", "0::/\n");
  write("mount/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuotaTest, Version1InsideContainerWhosePathIsNotThere) {
  write("self", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n");
  write("mount/cpu/cpu.cfs_quota_us", "250000\n");
  write("mount/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 2.5);
  write("mount/cpu/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuotaTest, OddLinesAreSkipped) {
  write("self", "nonsense\n\n:\n7:cpuset:/a\n0::/\n");
  write("mount/cpu.max", "garbage\n");
  EXPECT_EQ(quota(), std::nullopt);
}

}  // namespace
}  // namespace bobby
