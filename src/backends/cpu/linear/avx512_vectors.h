// V of kernel_body.h for AVX-512 (F, BW, VL, DQ), with VNNI where the translation unit has it.
#pragma once

#include <immintrin.h>

#include "backends/cpu/linear/kernels.h"

#define BOBBY_VECTORS_IN_REGISTERS
#define BOBBY_PANELS
#define BOBBY_MASKED_LOADS
#if defined(__AVX512VNNI__)
#define BOBBY_BYTE_WORDS
#endif

namespace bobby::cpu {
namespace {

// How 32 values of kBits bits, a little-endian bit string, become words: each 128-bit lane takes
// the bytes of its eight values, each word the two bytes that hold its value, shifted down.
template <int kBits>
struct SpreadTables {
  alignas(64) std::uint16_t lane_words[32] = {};
  alignas(64) std::uint8_t bytes[64] = {};
  alignas(64) std::uint16_t shifts[32] = {};

  constexpr SpreadTables() {
    for (int i = 0; i < 32; ++i) {
      const int first_byte = i / 8 * kBits;  // of the lane's values
      const int word = first_byte / 2 + i % 8;
      lane_words[i] = static_cast<std::uint16_t>(word < 16 ? word : 15);
      const int byte = first_byte % 2 + i % 8 * kBits / 8;
      bytes[2 * i] = static_cast<std::uint8_t>(byte);
      bytes[2 * i + 1] = static_cast<std::uint8_t>(byte + 1);
      shifts[i] = static_cast<std::uint16_t>(i % 8 * kBits % 8);
    }
  }
};
template <int kBits>
constexpr SpreadTables<kBits> kSpreadTables;

struct V {
  using I32 = __m512i;
  using F32 = __m512;
  using Words = __m512i;

  static constexpr int kPanelTile = 12;

  static I32 zero_i() { return _mm512_setzero_si512(); }
  static F32 zero_f() { return _mm512_setzero_ps(); }
  static Words load_words(const unsigned char* bytes) { return _mm512_loadu_si512(bytes); }

  // The first `count` bytes, less than 64, and zeros.
  static Words load_words_part(const unsigned char* bytes, int count) {
    return _mm512_maskz_loadu_epi8((1ull << count) - 1, bytes);
  }

  template <int kBits>
  static Words spread(const unsigned char* bytes) {
    const SpreadTables<kBits>& tables = kSpreadTables<kBits>;
    const __m256i string = _mm256_maskz_loadu_epi8((1u << (4 * kBits)) - 1, bytes);
    const __m512i lanes = _mm512_permutexvar_epi16(_mm512_load_si512(tables.lane_words),
                                                   _mm512_castsi256_si512(string));
    const __m512i pairs = _mm512_shuffle_epi8(lanes, _mm512_load_si512(tables.bytes));
    return _mm512_and_si512(_mm512_srlv_epi16(pairs, _mm512_load_si512(tables.shifts)),
                            _mm512_set1_epi16((1 << kBits) - 1));
  }

  template <int kBits, int kField>
  static Words field(Words words) {
    const __m512i shifted = kField == 0 ? words : _mm512_srli_epi16(words, kField * kBits);
    if constexpr (kField == 16 / kBits - 1) {
      return shifted;
    } else {
      return _mm512_and_si512(shifted, _mm512_set1_epi16((1 << kBits) - 1));
    }
  }

  template <int kLanes>
  static I32 dot(I32 acc, Words words, const std::int16_t* x) {
    const __m512i q = _mm512_load_si512(x);
#if defined(__AVX512VNNI__)
    return _mm512_dpwssd_epi32(acc, words, q);
#else
    return _mm512_add_epi32(acc, _mm512_madd_epi16(words, q));
#endif
  }

  // Halves the lanes of each group until one is left: of two vectors, the lower halves of all
  // groups plus the upper halves. The last step leaves the sums in an order that one permutation
  // mends.
  template <int kLanes>
  static I32 reduce(const I32* v) {
    if constexpr (kLanes == 16) {
      __m512i half[8];
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        half[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(v[2 * i], v[2 * i + 1], 0x44),
                                   _mm512_shuffle_i32x4(v[2 * i], v[2 * i + 1], 0xee));
      }
      return reduce<8>(half);
    } else if constexpr (kLanes == 8) {
      __m512i half[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        half[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(v[2 * i], v[2 * i + 1], 0x88),
                                   _mm512_shuffle_i32x4(v[2 * i], v[2 * i + 1], 0xdd));
      }
      return reduce<4>(half);
    } else if constexpr (kLanes == 4) {
      __m512i half[2];
      for (int i = 0; i < 2; ++i) {
        half[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(v[2 * i], v[2 * i + 1]),
                                   _mm512_unpackhi_epi64(v[2 * i], v[2 * i + 1]));
      }
      return _mm512_permutexvar_epi32(
          _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
          add_pairs(half[0], half[1]));
    } else {
      return _mm512_permutexvar_epi32(
          _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15),
          add_pairs(v[0], v[1]));
    }
  }

  static F32 to_float(I32 a) {
    return _mm512_cvtepi32_ps(a);
  }
  static F32 mul(F32 a, F32 b) {
    return _mm512_mul_ps(a, b);
  }
  static F32 add(F32 a, F32 b) {
    return _mm512_add_ps(a, b);
  }
  static F32 fma(F32 a, F32 b, F32 c) {
    return _mm512_fmadd_ps(a, b, c);
  }
  static F32 load_f(const float* values) {
    return _mm512_loadu_ps(values);
  }

  template <int kType>
  static F32 load_as(const unsigned char* bytes) {
    if constexpr (kType == kF32) return _mm512_loadu_ps(bytes);
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
    if constexpr (kType == kF16) return _mm512_cvtph_ps(bits);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }

  static Words bits(F32 a) {
    return _mm512_castps_si512(a);
  }
  static Words load_panel(const std::uint32_t* words) {
    return _mm512_load_si512(words);
  }
  static F32 broadcast(const float* value) {
    return _mm512_set1_ps(*value);
  }
  static void store_f(float* to, F32 a) {
    _mm512_storeu_ps(to, a);
  }
  static void prefetch(const unsigned char* bytes) {
    _mm_prefetch(bytes, _MM_HINT_T1);
  }

  static I32 dot_pair(I32 acc, Words words, const std::int16_t* x) {
#if defined(__AVX512VNNI__)
    // GCC 12 would load the broadcast apart, and shuffle registers to do so.
    asm("vpdpwssd %2%{1to16%}, %1, %0"
        : "+v"(acc)
        : "v"(words), "m"(*reinterpret_cast<const std::int16_t(*)[2]>(x)));
    return acc;
#else
    std::int32_t pair;
    __builtin_memcpy(&pair, x, sizeof pair);
    return _mm512_add_epi32(acc, _mm512_madd_epi16(words, _mm512_set1_epi32(pair)));
#endif
  }

#if defined(__AVX512VNNI__)
  template <int kBits, int kField>
  static Words byte_field(Words words) {
    if constexpr (kBits == 8) return words;
    const __m512i shifted = kField == 0 ? words : _mm512_srli_epi16(words, kField * kBits);
    return _mm512_and_si512(shifted, _mm512_set1_epi8((1 << (kBits & 7)) - 1));
  }
  static I32 dot_bytes(I32 acc, Words words, const std::int8_t* x) {
    return _mm512_dpbusd_epi32(acc, words, _mm512_load_si512(x));
  }
  static I32 dot_quad(I32 acc, Words words, const std::int8_t* x) {
    asm("vpdpbusd %2%{1to16%}, %1, %0"
        : "+v"(acc)
        : "v"(words), "m"(*reinterpret_cast<const std::int8_t(*)[4]>(x)));
    return acc;
  }
#endif

  // 16 x 16 doublewords: out[j][i] = rows[i][j].
  static void transpose(const Words* rows, std::uint32_t* out) {
    transpose_to(rows, [out](int j, __m512i column) { _mm512_store_si512(out + 16 * j, column); });
  }

  // put(j, column j of rows[16]), for each j in no order.
  template <class Put>
  [[gnu::always_inline]] static void transpose_to(const Words* rows, const Put& put) {
    __m512i fours[16];  // of rows 4i..4i+3: column 4j+k of lane block j stands in fours[4i+k]
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
      const __m512i low01 = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
      const __m512i high01 = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
      const __m512i low23 = _mm512_unpacklo_epi32(rows[i + 2], rows[i + 3]);
      const __m512i high23 = _mm512_unpackhi_epi32(rows[i + 2], rows[i + 3]);
      fours[i] = _mm512_unpacklo_epi64(low01, low23);
      fours[i + 1] = _mm512_unpackhi_epi64(low01, low23);
      fours[i + 2] = _mm512_unpacklo_epi64(high01, high23);
      fours[i + 3] = _mm512_unpackhi_epi64(high01, high23);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const __m512i even01 = _mm512_shuffle_i32x4(fours[k], fours[k + 4], 0x88);
      const __m512i odd01 = _mm512_shuffle_i32x4(fours[k], fours[k + 4], 0xdd);
      const __m512i even23 = _mm512_shuffle_i32x4(fours[k + 8], fours[k + 12], 0x88);
      const __m512i odd23 = _mm512_shuffle_i32x4(fours[k + 8], fours[k + 12], 0xdd);
      put(k, _mm512_shuffle_i32x4(even01, even23, 0x88));
      put(k + 4, _mm512_shuffle_i32x4(odd01, odd23, 0x88));
      put(k + 8, _mm512_shuffle_i32x4(even01, even23, 0xdd));
      put(k + 12, _mm512_shuffle_i32x4(odd01, odd23, 0xdd));
    }
  }

  // The first `count` values, less than 16, and zeros.
  template <int kType>
  static F32 load_as_part(const unsigned char* bytes, int count) {
    const auto wanted = static_cast<__mmask16>((1u << count) - 1);
    if constexpr (kType == kF32) return _mm512_maskz_loadu_ps(wanted, bytes);
    const __m256i bits = _mm256_maskz_loadu_epi16(wanted, bytes);
    if constexpr (kType == kF16) return _mm512_cvtph_ps(bits);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }

  static float fold(F32 a) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }

 private:
  static __m512i add_pairs(__m512i a, __m512i b) {
    const __m512 x = _mm512_castsi512_ps(a);
    const __m512 y = _mm512_castsi512_ps(b);
    return _mm512_add_epi32(_mm512_castps_si512(_mm512_shuffle_ps(x, y, 0x88)),
                            _mm512_castps_si512(_mm512_shuffle_ps(x, y, 0xdd)));
  }
};

}  // namespace
}  // namespace bobby::cpu
