// V of kernel_body.h for AVX2, FMA and F16C: sixteen lanes are two registers.
#include <immintrin.h>

#include "backends/cpu/linear/kernels.h"

#define BOBBY_VECTORS_IN_REGISTERS
#define BOBBY_PANELS

namespace bobby::cpu {
namespace {

// How 16 values of kBits bits, a little-endian bit string, become words: each word takes the two
// bytes that hold its value, moved up against the word's top and then down.
template <int kBits>
struct SpreadTables {
  alignas(32) std::uint8_t bytes[32] = {};
  alignas(32) std::uint16_t factors[16] = {};

  constexpr SpreadTables() {
    for (int i = 0; i < 16; ++i) {
      const int byte = i * kBits / 8;
      bytes[2 * i] = static_cast<std::uint8_t>(byte);
      bytes[2 * i + 1] = static_cast<std::uint8_t>(byte + 1);
      factors[i] = static_cast<std::uint16_t>(1 << (16 - kBits - i * kBits % 8));
    }
  }
};
template <int kBits>
constexpr SpreadTables<kBits> kSpreadTables;

struct V {
  struct I32 {
    __m256i low, high;
  };
  struct F32 {
    __m256 low, high;
  };
  using Words = I32;

  static constexpr int kPanelTile = 4;

  static I32 zero_i() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static F32 zero_f() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Words load_words(const unsigned char* bytes) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 32))};
  }

  template <int kBits>
  static Words spread(const unsigned char* bytes) {
    return {spread_half<kBits>(bytes), spread_half<kBits>(bytes + 2 * kBits)};
  }

  template <int kBits, int kField>
  static Words field(Words words) {
    return {field_half<kBits, kField>(words.low), field_half<kBits, kField>(words.high)};
  }

  template <int kLanes>
  static I32 dot(I32 acc, Words words, const std::int16_t* x) {
    const __m256i* q = reinterpret_cast<const __m256i*>(x);
    return {_mm256_add_epi32(acc.low, _mm256_madd_epi16(words.low, _mm256_load_si256(q))),
            _mm256_add_epi32(acc.high, _mm256_madd_epi16(words.high, _mm256_load_si256(q + 1)))};
  }

  template <int kLanes>
  static I32 reduce(const I32* v) {
    if constexpr (kLanes == 16) {
      I32 half[8];
      for (int i = 0; i < 8; ++i) {
        half[i] = {_mm256_add_epi32(v[2 * i].low, v[2 * i].high),
                   _mm256_add_epi32(v[2 * i + 1].low, v[2 * i + 1].high)};
      }
      return reduce<8>(half);
    } else if constexpr (kLanes == 8) {
      return {sum_eights(v), sum_eights(v + 4)};
    } else if constexpr (kLanes == 4) {
      const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
      return {_mm256_permutevar8x32_epi32(sum_fours(v), order),
              _mm256_permutevar8x32_epi32(sum_fours(v + 2), order)};
    } else {
      const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
      return {_mm256_permutevar8x32_epi32(_mm256_hadd_epi32(v[0].low, v[0].high), order),
              _mm256_permutevar8x32_epi32(_mm256_hadd_epi32(v[1].low, v[1].high), order)};
    }
  }

  static F32 to_float(I32 a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }
  static F32 mul(F32 a, F32 b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static F32 add(F32 a, F32 b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static F32 fma(F32 a, F32 b, F32 c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static F32 load_f(const float* values) {
    return {_mm256_loadu_ps(values), _mm256_loadu_ps(values + 8)};
  }

  template <int kType>
  static F32 load_as(const unsigned char* bytes) {
    if constexpr (kType == kF32) {
      const float* values = reinterpret_cast<const float*>(bytes);
      return {_mm256_loadu_ps(values), _mm256_loadu_ps(values + 8)};
    }
    return {widen<kType>(bytes), widen<kType>(bytes + 16)};
  }

  static Words bits(F32 a) { return {_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)}; }
  static Words load_panel(const std::uint32_t* words) {
    const __m256i* halves = reinterpret_cast<const __m256i*>(words);
    return {_mm256_load_si256(halves), _mm256_load_si256(halves + 1)};
  }
  static F32 broadcast(const float* value) {
    const __m256 both = _mm256_broadcast_ss(value);
    return {both, both};
  }
  static void store_f(float* to, F32 a) {
    _mm256_storeu_ps(to, a.low);
    _mm256_storeu_ps(to + 8, a.high);
  }
  static void prefetch(const unsigned char* bytes) { _mm_prefetch(bytes, _MM_HINT_T1); }

  static I32 dot_pair(I32 acc, Words words, const std::int16_t* x) {
    std::int32_t pair;
    __builtin_memcpy(&pair, x, sizeof pair);
    const __m256i q = _mm256_set1_epi32(pair);
    return {_mm256_add_epi32(acc.low, _mm256_madd_epi16(words.low, q)),
            _mm256_add_epi32(acc.high, _mm256_madd_epi16(words.high, q))};
  }

  // 16 x 16 doublewords: out[j][i] = rows[i][j].
  static void transpose(const Words* rows, std::uint32_t* out) {
    for (int half = 0; half < 16; half += 8) {
      __m256i low[8];
      __m256i high[8];
      for (int i = 0; i < 8; ++i) {
        low[i] = rows[half + i].low;
        high[i] = rows[half + i].high;
      }
      transpose_eight(low, out + half);
      transpose_eight(high, out + 8 * 16 + half);
    }
  }

  static float fold(F32 a) {
    const __m256 eight = _mm256_add_ps(a.low, a.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }

 private:
  template <int kBits>
  static __m256i spread_half(const unsigned char* bytes) {
    constexpr int kLow = kBits < 4 ? 4 : 8;  // of 2 * kBits bytes; not one more may be read
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    __builtin_memcpy(&low, bytes, kLow);
    __builtin_memcpy(&high, bytes + kLow, 2 * kBits - kLow);
    const __m128i string =
        kLow == 8 ? _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low))
                  : _mm_set_epi64x(0, static_cast<long long>(low | high << 32));
    const SpreadTables<kBits>& tables = kSpreadTables<kBits>;
    const __m256i pairs =
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(string),
                            _mm256_load_si256(reinterpret_cast<const __m256i*>(tables.bytes)));
    const __m256i up = _mm256_mullo_epi16(
        pairs, _mm256_load_si256(reinterpret_cast<const __m256i*>(tables.factors)));
    return _mm256_srli_epi16(up, 16 - kBits);
  }
  template <int kBits, int kField>
  static __m256i field_half(__m256i words) {
    const __m256i shifted = kField == 0 ? words : _mm256_srli_epi16(words, kField * kBits);
    if constexpr (kField == 16 / kBits - 1) {
      return shifted;
    } else {
      return _mm256_and_si256(shifted, _mm256_set1_epi16((1 << kBits) - 1));
    }
  }
  // 8 x 8 doublewords to eight rows of 16.
  static void transpose_eight(const __m256i* rows, std::uint32_t* out) {
    __m256i fours[8];
    for (int i = 0; i < 8; i += 4) {
      const __m256i low01 = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
      const __m256i high01 = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
      const __m256i low23 = _mm256_unpacklo_epi32(rows[i + 2], rows[i + 3]);
      const __m256i high23 = _mm256_unpackhi_epi32(rows[i + 2], rows[i + 3]);
      fours[i] = _mm256_unpacklo_epi64(low01, low23);
      fours[i + 1] = _mm256_unpackhi_epi64(low01, low23);
      fours[i + 2] = _mm256_unpacklo_epi64(high01, high23);
      fours[i + 3] = _mm256_unpackhi_epi64(high01, high23);
    }
    for (int k = 0; k < 4; ++k) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(out + 16 * k),
                         _mm256_permute2x128_si256(fours[k], fours[k + 4], 0x20));
      _mm256_store_si256(reinterpret_cast<__m256i*>(out + 16 * (k + 4)),
                         _mm256_permute2x128_si256(fours[k], fours[k + 4], 0x31));
    }
  }

  // Eight groups of eight lanes, one a register: their sums in order.
  static __m256i sum_eights(const I32* v) {
    const __m256i first = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0].low, v[0].high),
                                            _mm256_hadd_epi32(v[1].low, v[1].high));
    const __m256i second = _mm256_hadd_epi32(_mm256_hadd_epi32(v[2].low, v[2].high),
                                             _mm256_hadd_epi32(v[3].low, v[3].high));
    return _mm256_add_epi32(_mm256_permute2x128_si256(first, second, 0x20),
                            _mm256_permute2x128_si256(first, second, 0x31));
  }
  // Eight groups of four lanes, two a register: sums 0, 2, 4, 6, 1, 3, 5, 7.
  static __m256i sum_fours(const I32* v) {
    return _mm256_hadd_epi32(_mm256_hadd_epi32(v[0].low, v[0].high),
                             _mm256_hadd_epi32(v[1].low, v[1].high));
  }
  template <int kType>
  static __m256 widen(const unsigned char* bytes) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    if constexpr (kType == kF16) return _mm256_cvtph_ps(bits);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
};

}  // namespace
}  // namespace bobby::cpu

#include "backends/cpu/linear/kernel_body.h"

namespace bobby::cpu {
const LinearKernels kAvx2Kernels = {"avx2", false, pack, quant, quant_scratch, dense, lora};
}  // namespace bobby::cpu
