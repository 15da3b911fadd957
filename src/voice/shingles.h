#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bobby {

/// Hashes of every five letters in a row of folded_words(text), sorted, each once; a shorter text
/// is one of its own, and one without words has none.
std::vector<std::uint32_t> shingles(std::string_view text);

/// What two sets of shingles have in common, as a share of what is in either: 1 is the same set.
double similarity(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b);

/// MinHash bands (Broder 1997; Leskovec et al., "Mining of Massive Datasets", chapter 3): two texts
/// of similarity s agree in at least one with probability 1 - (1 - s^4)^16: 0.9998 at 0.8, 0.95 at
/// 0.65, 0.12 at 0.3.
inline constexpr std::size_t kBands = 16;
using Bands = std::array<std::uint32_t, kBands>;

/// Precondition: `set` is not empty.
Bands min_hash_bands(const std::vector<std::uint32_t>& set);

}  // namespace bobby
