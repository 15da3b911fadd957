// What of the public API needs no model.

#include <bobby/bobby.h>
#include <gtest/gtest.h>
#include <memory>

namespace bobby_api_test {
namespace {

TEST(PublicResult, HoldsAValueOrSaysWhyNot) {
  bobby::Result<std::unique_ptr<int>> value = std::make_unique<int>(3);
  ASSERT_TRUE(value);
  EXPECT_EQ(**value, 3);
  EXPECT_EQ(*std::move(value).value(), 3);

  const bobby::Result<int> failed = bobby::Error{bobby::ErrorCode::kLimit, "too long"};
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "too long");
  try {
    (void)failed.value();
    FAIL() << "a value came out";
  } catch (const bobby::ResultError& error) {
    EXPECT_EQ(error.code(), bobby::ErrorCode::kLimit);
    EXPECT_STREQ(error.what(), "too long");
  }
  EXPECT_NO_THROW(bobby::Result<void>().value());
  EXPECT_THROW(bobby::Result<void>(failed.error()).value(), bobby::ResultError);
}

TEST(PublicResult, CodesHaveTheNamesOfTheCommandLine) {
  EXPECT_EQ(bobby::code_name(bobby::ErrorCode::kUsage), "usage");
  EXPECT_EQ(bobby::code_name(bobby::ErrorCode::kNotFound), "not_found");
  EXPECT_EQ(bobby::code_name(bobby::ErrorCode::kTimeout), "timeout");
  EXPECT_EQ(bobby::code_name(static_cast<bobby::ErrorCode>(0)), "internal");
  EXPECT_EQ(bobby::code_name(static_cast<bobby::ErrorCode>(99)), "internal");
  EXPECT_EQ(bobby::version(), "0.1.0");
}

}  // namespace
}  // namespace bobby_api_test
