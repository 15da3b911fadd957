#include "training/mlx_random.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bobby {
namespace {

// Words of one draw of `count` numbers: word i of the first half shares its hash with word
// i + half (rounded up) of the second; an odd one in the middle has its own.
template <typename Emit>
void random_words(std::array<std::uint32_t, 2> key, std::size_t count, Emit emit) {
  const std::size_t half = count / 2;
  const std::size_t odd = count % 2;
  for (std::size_t i = 0; i < half; ++i) {
    const std::size_t other = half + odd + i;
    const auto words =
        threefry2x32(key, {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(other)});
    emit(i, words[0]);
    emit(other, words[1]);
  }
  if (odd != 0) emit(half, threefry2x32(key, {static_cast<std::uint32_t>(half), 0})[0]);
}

}  // namespace

std::array<std::uint32_t, 2> threefry2x32(std::array<std::uint32_t, 2> key,
                                          std::array<std::uint32_t, 2> count) {
  constexpr std::array<std::array<int, 4>, 2> kRotations = {{{13, 15, 26, 6}, {17, 29, 16, 24}}};
  const std::array<std::uint32_t, 3> keys = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAu};
  count[0] += keys[0];
  count[1] += keys[1];
  for (std::uint32_t group = 0; group < 5; ++group) {
    for (const int rotation : kRotations[group % 2]) {
      count[0] += count[1];
      count[1] = std::rotl(count[1], rotation) ^ count[0];
    }
    count[0] += keys[(group + 1) % 3];
    count[1] += keys[(group + 2) % 3] + group + 1;
  }
  return count;
}

MlxRandom::MlxRandom(std::uint64_t seed)
    : key_{static_cast<std::uint32_t>(seed >> 32), static_cast<std::uint32_t>(seed)} {}

std::array<std::uint32_t, 2> MlxRandom::next_key() {
  std::array<std::uint32_t, 4> words{};
  random_words(key_, words.size(), [&](std::size_t i, std::uint32_t word) { words[i] = word; });
  key_ = {words[0], words[1]};
  return {words[2], words[3]};
}

void MlxRandom::skip() {
  next_key();
}

void MlxRandom::uniform(float low, float high, std::span<float> values) {
  const float range = high - low;
  const float below_one = std::nextafter(1.0f, 0.0f);
  random_words(next_key(), values.size(), [&](std::size_t i, std::uint32_t word) {
    const float unit = std::min(static_cast<float>(word) / 4294967296.0f, below_one);
    values[i] = range * unit + low;
  });
}

}  // namespace bobby
