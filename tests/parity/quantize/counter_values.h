#pragma once

// Values that C++ and Python make alike, bit for bit, from a counter: goldens then need to hold
// digests only. The other half of this file is in tools/oracle/quantize.py.

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace bobby::testing {

/// splitmix64 of counter `index` (from 0) on stream `seed`.
inline std::uint64_t counter_hash(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = (seed << 40) + (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// The sum of a hash's four 16-bit fields, centred: integers of 18 bits, near to normal.
inline std::int64_t bell_integer(std::uint64_t hash) {
  const std::uint64_t sum =
      (hash & 0xffff) + ((hash >> 16) & 0xffff) + ((hash >> 32) & 0xffff) + (hash >> 48);
  return static_cast<std::int64_t>(sum) - 131070;
}

inline std::vector<float> normal_values(std::uint64_t seed, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = std::ldexp(static_cast<float>(bell_integer(counter_hash(seed, i))), -20);
  return values;
}

/// One integer of hostile_values(), in a block of hash `block`.
inline std::int64_t hostile_integer(std::uint64_t hash, std::uint64_t block, std::int64_t lane) {
  constexpr std::array<int, 6> kBits = {2, 3, 4, 5, 6, 8};
  const std::int64_t n = bell_integer(hash);
  const auto pick = static_cast<std::int64_t>((block >> 16) & 0xffff);
  const std::int64_t top = std::int64_t{1} << kBits[static_cast<std::size_t>(pick % 6)];
  const std::int64_t inner = (n & (top - 1)) - (top >> 1);
  const auto ends = [&](std::int64_t first, std::int64_t second) {
    return lane == 0 ? first : lane == 1 ? second : inner;
  };
  switch (block & 15) {
    case 0: return std::abs(n);
    case 1: return -std::abs(n);
    case 2: return n >> 13;
    case 3: return pick - 32768;
    case 4: return lane == pick % 32 ? n : 0;
    case 5: return (n >> 6) + 100000;
    case 6: return (n >> 6) - 100000;
    case 7: return n >> (hash & 15);
    case 8: return ends(-top, top - 2);
    case 9: return -ends(-top, top - 2);
    case 10: return ends(-top - 1, top - 3);
    case 11: return -ends(-top - 1, top - 3);
    default: return n;
  }
}

/// Blocks of 128 of sixteen kinds and 32 magnitudes: one-sided, coarse, constant, lonely, narrow,
/// wide, and with exact .5 ties at each number of bits; the rest near to normal.
inline std::vector<float> hostile_values(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t block = counter_hash(2, i / 128);
    const int exponent = static_cast<int>((block >> 8) % 32) - 36;
    const auto lane = static_cast<std::int64_t>(i % 32);
    values[i] =
        std::ldexp(static_cast<float>(hostile_integer(counter_hash(1, i), block, lane)), exponent);
  }
  return values;
}

}  // namespace bobby::testing
