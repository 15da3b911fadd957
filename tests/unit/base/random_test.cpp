#include "base/random.h"

#include <array>
#include <gtest/gtest.h>
#include <set>

namespace bobby {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Random123's kat_vectors, philox4x32 with 10 rounds.
TEST(Philox, GivesThePublishedWords) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Uniform, EveryArgumentCounts) {
  const std::set<double> numbers = {
      uniform(1, 2, 3, 4), uniform(5, 2, 3, 4),          uniform(1, 5, 3, 4), uniform(1, 2, 5, 4),
      uniform(1, 2, 3, 5), uniform(1ull << 32, 2, 3, 4), uniform(0, 0, 0, 0)};
  EXPECT_EQ(numbers.size(), 7u);
  EXPECT_EQ(uniform(1, 2, 3, 4), uniform(1, 2, 3, 4));
}

TEST(Uniform, IsUniform) {
  constexpr int kBins = 100, kDraws = 100'000;
  std::array<int, kBins> bins{};
  for (std::uint32_t i = 0; i < kDraws; ++i) {
    const double number = uniform(7, i % 10, i / 10, 0);
    ASSERT_GE(number, 0.0);
    ASSERT_LT(number, 1.0);
    ++bins[static_cast<std::size_t>(number * kBins)];
  }
  double chi_squared = 0.0;
  for (const int count : bins) {
    const double off = count - kDraws / kBins;
    chi_squared += off * off / (kDraws / kBins);
  }
  // 99 degrees of freedom: mean 99, standard deviation 14; six of them.
  EXPECT_LT(chi_squared, 99 + 6 * 14);
}

}  // namespace
}  // namespace bobby
