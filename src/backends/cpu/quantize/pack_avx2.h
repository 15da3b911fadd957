#pragma once

// 32 levels as a string of bits, in AVX2's instructions, which AVX-512 has as well.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <immintrin.h>

namespace bobby::cpu {
namespace {

/// Eight levels side by side in the low 8 * kBits bits of each 64: two, four, then eight of them.
template <int kBits>
inline __m256i pack_eights(const std::uint8_t* levels) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(levels));
  const __m256i twos = _mm256_maddubs_epi16(bytes, _mm256_set1_epi16(1 | 1 << (kBits + 8)));
  const __m256i fours = _mm256_madd_epi16(twos, _mm256_set1_epi32(1 | 1 << (2 * kBits + 16)));
  const __m256i low = _mm256_and_si256(fours, _mm256_set1_epi64x(0xffffffff));
  return _mm256_or_si256(low, _mm256_slli_epi64(_mm256_srli_epi64(fours, 32), 4 * kBits));
}

template <int kBits>
inline void pack_levels32(const std::uint8_t* levels, std::byte* out) {
  if constexpr (kBits == 4) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(levels));
    const __m256i twos = _mm256_maddubs_epi16(bytes, _mm256_set1_epi16(1 | 1 << 12));
    const __m256i narrow = _mm256_permute4x64_epi64(_mm256_packus_epi16(twos, twos), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(narrow));
    return;
  }
  std::uint64_t eights[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(eights), pack_eights<kBits>(levels));
  for (int i = 0; i < 4; ++i) __builtin_memcpy(out + i * kBits, eights + i, kBits);
}

}  // namespace
}  // namespace bobby::cpu
