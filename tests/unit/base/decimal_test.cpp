#include "base/decimal.h"

#include <clocale>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <string>

namespace bobby {
namespace {

TEST(Decimal, NumbersAreTheNearest) {
  EXPECT_EQ(parse_double("0"), 0.0);
  EXPECT_EQ(parse_double("-1.5"), -1.5);
  EXPECT_EQ(parse_double(".5"), 0.5);
  EXPECT_EQ(parse_double("5."), 5.0);
  EXPECT_EQ(parse_double("007"), 7.0);
  EXPECT_EQ(parse_double("2e-3"), 2e-3);
  EXPECT_EQ(parse_double("2E+3"), 2000.0);
  EXPECT_EQ(parse_double("0.1"), 0.1);
  EXPECT_EQ(parse_double("2.2250738585072011e-308"), 2.2250738585072011e-308);
  EXPECT_EQ(parse_float("0.1"), 0.1f);
  // Through double it would become 1 + 2^-23 twice rounded.
  EXPECT_EQ(parse_float("1.00000005960464477539062500000001"), 1.0000001f);
  EXPECT_TRUE(std::signbit(*parse_double("-0")));
}

TEST(Decimal, TooLargeIsInfiniteAndTooSmallIsZero) {
  EXPECT_EQ(parse_double("1e400"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(parse_double("-1e400"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(parse_double("1e-400"), 0.0);
  EXPECT_EQ(parse_float("1e39"), std::numeric_limits<float>::infinity());
}

TEST(Decimal, WhatIsNoDecimalNumber) {
  for (const char* text : {"", "-", ".", "-.", "+1", " 1", "1 ", "1e", "1e+", "e5", "0x10", "1,5",
                           "1.5.2", "inf", "nan", "1f", "--1", "1_000", "1e5.0"}) {
    EXPECT_EQ(parse_double(text), std::nullopt) << text;
    EXPECT_EQ(parse_float(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_double(std::string_view("1\0", 2)), std::nullopt);
}

TEST(Decimal, EndsWhereTheTextEnds) {
  EXPECT_EQ(parse_double(std::string_view("12345").substr(1, 2)), 23.0);
}

TEST(Decimal, WhateverTheLocale) {
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  for (const char* name : {"de_DE.UTF-8", "de_DE"})
    if (std::setlocale(LC_NUMERIC, name) != nullptr) {
      EXPECT_EQ(parse_double("1.5"), 1.5);
    }
  std::setlocale(LC_NUMERIC, before.c_str());
}

}  // namespace
}  // namespace bobby
