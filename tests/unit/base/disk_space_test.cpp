#include "base/disk_space.h"

#include <gtest/gtest.h>

namespace bobby {
namespace {

TEST(DiskSpace, WhatFitsAndWhatDoesNot) {
  const auto here = std::filesystem::temp_directory_path();
  EXPECT_TRUE(check_disk_space(here, 0));
  EXPECT_TRUE(check_disk_space(here / "not" / "yet" / "there", 1));
  const auto refused = check_disk_space(here / "not" / "there", std::uint64_t{1} << 62);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  EXPECT_NE(refused.error().to_string().find("expected 4611686018.43 GB free, found "),
            std::string::npos)
      << refused.error().to_string();
}

}  // namespace
}  // namespace bobby
