#include "hub/random_numbers.h"

#include "base/random.h"

namespace bobby {
namespace {

std::array<std::uint32_t, 2> halves(std::uint64_t value) {
  return {static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(value >> 32)};
}

/// FNV-1a: a tensor's name as the number of its stream.
std::uint64_t hash(std::string_view name) {
  std::uint64_t value = 0xcbf29ce484222325u;
  for (const char c : name) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return value;
}

}  // namespace

RandomNumbers::RandomNumbers(std::uint64_t seed, std::string_view name)
    : key_(halves(seed)), stream_(halves(hash(name))) {}

std::array<std::uint32_t, 4> RandomNumbers::four(std::uint64_t block) const {
  const auto [low, high] = halves(block);
  return philox4x32({low, high, stream_[0], stream_[1]}, key_);
}

void RandomNumbers::words(std::uint64_t first, std::span<std::uint32_t> out) const {
  for (std::size_t i = 0; i < out.size();) {
    const std::uint64_t index = first + i;
    const auto block = four(index / 4);
    for (std::uint64_t j = index % 4; j < 4 && i < out.size(); ++j) out[i++] = block[j];
  }
}

void RandomNumbers::uniform(std::uint64_t first, float low, float high,
                            std::span<float> out) const {
  for (std::size_t i = 0; i < out.size();) {
    const std::uint64_t index = first + i;
    const auto block = four(index / 4);
    for (std::uint64_t j = index % 4; j < 4 && i < out.size(); ++j)
      out[i++] = low + (high - low) * (static_cast<float>(block[j] >> 8) * 0x1p-24f);
  }
}

}  // namespace bobby
