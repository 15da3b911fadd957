#pragma once

#include <cstdint>
#include <string_view>

namespace bobby {

/// Spreads the bits of a number over all of it (the finalizer of SplitMix64).
constexpr std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9u;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// The same for the same bytes everywhere and always (FNV-1a, mixed): seeded choices about a text
/// hang on it. Not safe against those who make texts collide; whoever relies on equal texts
/// compares them.
constexpr std::uint64_t text_hash(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3u;
  }
  return mix(hash);
}

}  // namespace bobby
