#pragma once

#include <array>
#include <cstdint>

namespace bobby {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11): four random
/// words that depend on `counter` and `key` alone. No state, so a number can be drawn out of order,
/// on any thread, or again after a restart.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// A uniform number in [0, 1), a multiple of 2^-53, for draw `draw` of token `position` of sample
/// `row` under `seed`. Changing any of the four gives an independent number.
constexpr double uniform(std::uint64_t seed, std::uint32_t row, std::uint32_t position,
                         std::uint32_t draw) {
  const auto words = philox4x32({position, row, draw, 0}, {static_cast<std::uint32_t>(seed),
                                                           static_cast<std::uint32_t>(seed >> 32)});
  const std::uint64_t bits = (std::uint64_t{words[1]} << 32 | words[0]) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53;
}

}  // namespace bobby
