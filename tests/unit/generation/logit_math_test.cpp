#include "generation/logit_math.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

namespace bobby::detail {
namespace {

std::vector<float> logits(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 6.0f);
  std::vector<float> values(count);
  std::ranges::generate(values, [&] { return normal(random); });
  return values;
}

TEST(LogitMath, SumExpIsTheSumOfStdExp) {
  for (const std::size_t count : {1, 15, 16, 17, 1023, 1024, 1025, 49152, 151936}) {
    const std::vector<float> values = logits(count, static_cast<unsigned>(count));
    const float top = *std::ranges::max_element(values);
    double expected = 0.0;
    for (const float value : values) expected += std::exp(double{value} - double{top});
    // A value to within 2e-7, and fp32 sums of at most 64 of them.
    EXPECT_NEAR(sum_exp(values, top), expected, (2e-7 + 64 * 0x1p-24) * expected) << count;
  }
}

TEST(LogitMath, EachExpIsWithinTwoInTenMillion) {
  for (float x = 0.0f; x > -87.0f; x -= 0.00173f) {
    const double expected = std::exp(double{x});
    EXPECT_NEAR(sum_exp({&x, 1}, 0.0f), expected, 2e-7 * expected) << x;
  }
  const float far = -1e30f;
  EXPECT_LT(sum_exp({&far, 1}, 0.0f), 1e-37);
  const float banned = -std::numeric_limits<float>::infinity();
  EXPECT_LT(sum_exp({&banned, 1}, 0.0f), 1e-37);
}

TEST(LogitMath, LargestStandsAnywhere) {
  std::vector<float> values = logits(100, 3);
  for (std::size_t at = 0; at < values.size(); ++at) {
    std::vector<float> raised = values;
    raised[at] = 1000.0f;
    EXPECT_EQ(largest(raised), 1000.0f);
  }
  EXPECT_EQ(largest(std::vector<float>{-3.0f}), -3.0f);
}

TEST(LogitMath, OneBadValueAnywhereIsSeen) {
  const std::vector<float> values = logits(100, 4);
  EXPECT_TRUE(all_finite(values));
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()})
    for (std::size_t at = 0; at < values.size(); ++at) {
      std::vector<float> spoilt = values;
      spoilt[at] = bad;
      EXPECT_FALSE(all_finite(spoilt)) << bad << " at " << at;
    }
}

}  // namespace
}  // namespace bobby::detail
