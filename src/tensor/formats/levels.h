#pragma once

// Packing of levels, for the files of this folder alone. MLX packs q as one little-endian bit
// string a row, so for every width eight levels fill exactly `bits` bytes: one rule for all six.

#include <cstddef>
#include <cstdint>

namespace bobby::detail {

inline constexpr int kLevelsPerPack = 8;

/// `count` levels (a multiple of 8), each below 2^Bits → count * Bits / 8 bytes.
template <int Bits>
void pack_levels(const std::uint8_t* levels, std::int64_t count, std::byte* out) {
  for (std::int64_t i = 0; i < count; i += kLevelsPerPack, levels += kLevelsPerPack, out += Bits) {
    std::uint64_t string = 0;
    for (int j = 0; j < kLevelsPerPack; ++j)
      string |= static_cast<std::uint64_t>(levels[j]) << (Bits * j);
    for (int j = 0; j < Bits; ++j) out[j] = static_cast<std::byte>(string >> (8 * j));
  }
}

/// The inverse of pack_levels().
template <int Bits>
void unpack_levels(const std::byte* packed, std::int64_t count, std::uint8_t* levels) {
  for (std::int64_t i = 0; i < count;
       i += kLevelsPerPack, levels += kLevelsPerPack, packed += Bits) {
    std::uint64_t string = 0;
    for (int j = 0; j < Bits; ++j)
      string |= static_cast<std::uint64_t>(std::to_integer<std::uint8_t>(packed[j])) << (8 * j);
    for (int j = 0; j < kLevelsPerPack; ++j)
      levels[j] = static_cast<std::uint8_t>((string >> (Bits * j)) & ((1u << Bits) - 1u));
  }
}

/// Calls f.operator()<Bits>() for a run-time `bits`; false if there is no such width.
template <typename F>
bool dispatch_bits(int bits, F&& f) {
  switch (bits) {
    case 2: return f.template operator()<2>(), true;
    case 3: return f.template operator()<3>(), true;
    case 4: return f.template operator()<4>(), true;
    case 5: return f.template operator()<5>(), true;
    case 6: return f.template operator()<6>(), true;
    case 8: return f.template operator()<8>(), true;
    default: return false;
  }
}

}  // namespace bobby::detail
