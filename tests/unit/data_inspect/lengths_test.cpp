#include "data/inspect/lengths.h"

#include <gtest/gtest.h>
#include <numeric>

namespace bobby::inspection {
namespace {

TEST(Lengths, QuantilesAreNumbersOfTheSet) {
  std::vector<std::int64_t> numbers(100);
  std::iota(numbers.rbegin(), numbers.rend(), 1);
  const Distribution found = describe(numbers);
  EXPECT_EQ(found.count, 100);
  EXPECT_EQ(found.total, 5050);
  EXPECT_EQ(found.least, 1);
  EXPECT_EQ(found.most, 100);
  EXPECT_DOUBLE_EQ(found.mean, 50.5);
  EXPECT_EQ(found.quantiles, (std::vector<std::int64_t>{5, 25, 50, 75, 95, 99}));
  EXPECT_EQ(describe({7}).quantiles, (std::vector<std::int64_t>{7, 7, 7, 7, 7, 7}));
  EXPECT_EQ(describe({}).median(), 0);
}

TEST(Lengths, RoundStepsAreOneTwoOrFive) {
  EXPECT_EQ(round_step(0), 1);
  EXPECT_EQ(round_step(3), 5);
  EXPECT_EQ(round_step(6), 10);
  EXPECT_EQ(round_step(11), 20);
  EXPECT_EQ(round_step(201), 500);
}

TEST(Lengths, EveryNumberIsInABin) {
  const std::vector<std::vector<std::int64_t>> sets = {{0, 1, 9, 10, 39, 40}, {5000}};
  for (const std::size_t bins : {1u, 4u, 12u, 40u}) {
    const Histogram histogram = make_histogram(sets, bins, std::nullopt);
    ASSERT_LE(histogram.bins(), bins);
    for (std::size_t set = 0; set < sets.size(); ++set)
      EXPECT_EQ(std::accumulate(histogram.counts[set].begin(), histogram.counts[set].end(),
                                std::int64_t{0}),
                static_cast<std::int64_t>(sets[set].size()));
  }
}

// One post of a book's length does not press all others into one bar.
TEST(Lengths, AnOutlierIsInAnOpenBin) {
  std::vector<std::int64_t> numbers(1000, 50);
  numbers.push_back(100000);
  const Histogram histogram =
      make_histogram(std::vector<std::vector<std::int64_t>>{numbers}, 40, 300);
  EXPECT_TRUE(histogram.open);
  EXPECT_GT(histogram.from(histogram.bins()), 300);
  EXPECT_LT(histogram.from(histogram.bins()), 500);
  EXPECT_EQ(histogram.counts[0].back(), 1);
  const Histogram closed =
      make_histogram(std::vector<std::vector<std::int64_t>>{{1, 2, 3}}, 40, 300);
  EXPECT_FALSE(closed.open);
}

// mlx-lm: 1 + 32 * ceil(longest / 32) tokens, at most max_seq_length; a position fewer than tokens.
TEST(Lengths, PaddingIsMlxLms) {
  const std::vector<std::int64_t> lengths = {10, 40, 33, 64, 500};
  const BatchCost pairs = padded_cost(lengths, 2, 256);
  EXPECT_EQ(pairs.computed, 2 * 64 + 2 * 64 + 255);
  EXPECT_EQ(pairs.used, 9 + 39 + 32 + 63 + 255);
  const BatchCost alone = padded_cost(lengths, 1, 2048);
  EXPECT_EQ(alone.computed, 32 + 64 + 64 + 64 + 512);
  EXPECT_EQ(alone.used, 9 + 39 + 32 + 63 + 499);
  EXPECT_DOUBLE_EQ(padded_cost({}, 4, 256).waste(), 0.0);
}

}  // namespace
}  // namespace bobby::inspection
