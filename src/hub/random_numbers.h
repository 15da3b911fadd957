#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace bobby {

/// The random numbers of one tensor: word i is a function of (seed, name, i) alone, so a tensor can
/// be made in pieces, in any order, by any number of threads.
class RandomNumbers {
 public:
  RandomNumbers(std::uint64_t seed, std::string_view name);

  /// Words first .. first + out.size() - 1.
  void words(std::uint64_t first, std::span<std::uint32_t> out) const;
  /// The same words as uniform numbers in [low, high), 24 bits fine.
  void uniform(std::uint64_t first, float low, float high, std::span<float> out) const;

 private:
  std::array<std::uint32_t, 4> four(std::uint64_t block) const;

  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 2> stream_;
};

}  // namespace bobby
