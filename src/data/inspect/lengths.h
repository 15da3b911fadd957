#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace bobby::inspection {

/// How large the numbers of a set are.
struct Distribution {
  std::int64_t count = 0;
  std::int64_t total = 0;
  std::int64_t least = 0;
  std::int64_t most = 0;
  double mean = 0.0;
  /// By kQuantiles; the smallest number that at least so many percent do not exceed.
  std::vector<std::int64_t> quantiles;

  std::int64_t median() const { return quantiles.empty() ? 0 : quantiles[2]; }
};
inline constexpr int kQuantiles[] = {5, 25, 50, 75, 95, 99};

Distribution describe(std::vector<std::int64_t> numbers);

/// Numbers of several sets counted in bins of one width.
struct Histogram {
  std::int64_t bin_width = 1;
  /// Bin i holds [i * bin_width, (i + 1) * bin_width); the last also all above if `open`.
  bool open = false;
  std::vector<std::vector<std::int64_t>> counts;  ///< [set][bin]

  std::size_t bins() const { return counts.empty() ? 0 : counts.front().size(); }
  std::int64_t from(std::size_t bin) const { return static_cast<std::int64_t>(bin) * bin_width; }
};

/// The first of 1, 2, 5, 10, 20, 50, ... that is at least `least`.
std::int64_t round_step(std::int64_t least);

/// At most `most_bins` bins of a round width (1, 2 or 5 times a power of ten), as far as nearly all
/// numbers and `mark`, if any is above it, reach.
Histogram make_histogram(std::span<const std::vector<std::int64_t>> sets, std::size_t most_bins,
                         std::optional<std::int64_t> mark);

/// What padded batches of sequences cost: positions computed, and how many of those are of a
/// sequence, which are all that packed sequences need.
struct BatchCost {
  std::int64_t batch_size = 0;  ///< sequences a batch
  std::int64_t computed = 0;
  std::int64_t used = 0;

  double waste() const {
    return computed == 0 ? 0.0 : 1.0 - static_cast<double>(used) / static_cast<double>(computed);
  }
};

/// Batches of `batch_size` in the order given (the last may be smaller), each padded as mlx-lm
/// pads: to a multiple of 32 positions, at most max_seq_length - 1. A sequence of n tokens has n -
/// 1 positions: each but the last predicts its follower. `lengths` in tokens.
BatchCost padded_cost(std::span<const std::int64_t> lengths, std::int64_t batch_size,
                      std::int64_t max_seq_length);

}  // namespace bobby::inspection
