#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace bobby {

/// numpy's legacy generator, np.random.seed(seed) and np.random.permutation: MT19937 with masked
/// rejection. Only for runs that must take mlx-lm's batches in mlx-lm's order.
class NumpyRandom {
 public:
  explicit NumpyRandom(std::uint32_t seed);

  std::uint32_t next();
  /// np.random.permutation(count).
  std::vector<std::int64_t> permutation(std::int64_t count);

  /// The 624 words and the position in them.
  std::vector<std::uint32_t> state() const;
  /// kMalformed unless `state` is one that state() gives.
  Result<void> restore(std::span<const std::uint32_t> state);

 private:
  std::array<std::uint32_t, 624> words_{};
  std::uint32_t position_ = 624;
};

}  // namespace bobby
