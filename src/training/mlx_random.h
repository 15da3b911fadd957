#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace bobby {

/// Threefry2x32 with 20 rounds (Salmon et al., SC11).
std::array<std::uint32_t, 2> threefry2x32(std::array<std::uint32_t, 2> key,
                                          std::array<std::uint32_t, 2> count);

/// MLX's global generator: mx.random.seed(seed), then draws in order.
class MlxRandom {
 public:
  explicit MlxRandom(std::uint64_t seed);

  /// A draw whose numbers are not needed.
  void skip();
  /// mx.random.uniform(low, high, shape), fp32, in the array's order.
  void uniform(float low, float high, std::span<float> values);

 private:
  std::array<std::uint32_t, 2> next_key();
  std::array<std::uint32_t, 2> key_;
};

}  // namespace bobby
