#include "training/numpy_random.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <string>
#include <utility>

namespace bobby {
namespace {

constexpr std::uint32_t kWords = 624;
constexpr std::uint32_t kShift = 397;

}  // namespace

NumpyRandom::NumpyRandom(std::uint32_t seed) {
  for (std::uint32_t i = 0; i < kWords; ++i) {
    words_[i] = seed;
    seed = 1812433253u * (seed ^ (seed >> 30)) + i + 1;
  }
}

std::uint32_t NumpyRandom::next() {
  if (position_ == kWords) {
    for (std::uint32_t i = 0; i < kWords; ++i) {
      const std::uint32_t mixed =
          (words_[i] & 0x80000000u) | (words_[(i + 1) % kWords] & 0x7fffffffu);
      words_[i] =
          words_[(i + kShift) % kWords] ^ (mixed >> 1) ^ ((mixed & 1) != 0 ? 0x9908b0dfu : 0u);
    }
    position_ = 0;
  }
  std::uint32_t word = words_[position_++];
  word ^= word >> 11;
  word ^= (word << 7) & 0x9d2c5680u;
  word ^= (word << 15) & 0xefc60000u;
  return word ^ (word >> 18);
}

std::vector<std::int64_t> NumpyRandom::permutation(std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t i = order.size(); i-- > 1;) {
    // numpy's legacy interval: the smallest mask that covers it, and again until a draw fits.
    const std::uint32_t mask = ~std::uint32_t{0} >> std::countl_zero(static_cast<std::uint32_t>(i));
    std::uint32_t drawn = next() & mask;
    while (drawn > i) drawn = next() & mask;
    std::swap(order[i], order[drawn]);
  }
  return order;
}

std::vector<std::uint32_t> NumpyRandom::state() const {
  std::vector<std::uint32_t> all(words_.begin(), words_.end());
  all.push_back(position_);
  return all;
}

Result<void> NumpyRandom::restore(std::span<const std::uint32_t> state) {
  if (state.size() != kWords + 1 || state.back() > kWords)
    return fail({.code = ErrorCode::kMalformed,
                 .where = "state of numpy's generator",
                 .problem = "is not one",
                 .expected = "624 words and a position of at most 624",
                 .found = std::to_string(state.size()) + " words"});
  std::copy_n(state.begin(), kWords, words_.begin());
  position_ = state.back();
  return {};
}

}  // namespace bobby
