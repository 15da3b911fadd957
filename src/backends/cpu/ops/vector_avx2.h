#pragma once

// Eight floats with fused multiply-add and F16C. See vector_portable.h for what each means.

#include <cstdint>
#include <immintrin.h>

namespace bobby::cpu {

struct VectorAvx2 {
  using Reg = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kQueries = 2;

  static Reg set1(float x) { return _mm256_set1_ps(x); }
  static Reg load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, Reg v) { _mm256_storeu_ps(to, v); }
  static __m256i mask(std::int64_t lanes) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(lanes)), index);
  }
  static Reg load_n(const float* from, std::int64_t lanes) {
    return lanes == kLanes ? load(from) : _mm256_maskload_ps(from, mask(lanes));
  }
  static void store_n(float* to, Reg v, std::int64_t lanes) {
    if (lanes == kLanes) return store(to, v);
    _mm256_maskstore_ps(to, mask(lanes), v);
  }
  static Reg load_half_n(const std::uint16_t* from, std::int64_t lanes) {
    if (lanes == kLanes)
      return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    alignas(16) std::uint16_t padded[kLanes] = {};
    for (std::int64_t i = 0; i < lanes; ++i) padded[i] = from[i];
    return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(padded)));
  }
  static void store_half_n(std::uint16_t* to, Reg v, std::int64_t lanes) {
    const __m128i half = _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    if (lanes == kLanes) return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), half);
    alignas(16) std::uint16_t padded[kLanes];
    _mm_store_si128(reinterpret_cast<__m128i*>(padded), half);
    for (std::int64_t i = 0; i < lanes; ++i) to[i] = padded[i];
  }

  static Reg load_int8_n(const std::int8_t* from, std::int64_t lanes) {
    if (lanes == kLanes)
      return _mm256_cvtepi32_ps(
          _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
    alignas(16) std::int8_t padded[16] = {};
    for (std::int64_t i = 0; i < lanes; ++i) padded[i] = from[i];
    return load_int8_n(padded, kLanes);
  }
  static void store_int8_n(std::int8_t* to, Reg v, std::int64_t lanes) {
    alignas(32) std::int32_t whole[kLanes];
    _mm256_store_si256(reinterpret_cast<__m256i*>(whole), _mm256_cvtps_epi32(v));
    for (std::int64_t i = 0; i < lanes; ++i) to[i] = static_cast<std::int8_t>(whole[i]);
  }

  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm256_div_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg max(Reg a, Reg b) { return _mm256_max_ps(a, b); }
  static Reg min(Reg a, Reg b) { return _mm256_min_ps(a, b); }

  static float sum(Reg v) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    x = _mm_add_ss(x, _mm_shuffle_ps(x, x, 1));
    return _mm_cvtss_f32(x);
  }
  static void sum4(const Reg (&v)[4], float* out) {
    const Reg ab = _mm256_add_ps(_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpackhi_ps(v[0], v[1]));
    const Reg cd = _mm256_add_ps(_mm256_unpacklo_ps(v[2], v[3]), _mm256_unpackhi_ps(v[2], v[3]));
    const Reg sums = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(1, 0, 1, 0)),
                                   _mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 2, 3, 2)));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1)));
  }
  static std::int64_t count_beyond(Reg v, float limit) {
    const Reg magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
    return __builtin_popcount(static_cast<unsigned>(
        _mm256_movemask_ps(_mm256_cmp_ps(magnitude, _mm256_set1_ps(limit), _CMP_GT_OQ))));
  }
  static float largest(Reg v) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    x = _mm_max_ss(x, _mm_shuffle_ps(x, x, 1));
    return _mm_cvtss_f32(x);
  }
  static float first(Reg v) { return _mm256_cvtss_f32(v); }

  static Reg round(Reg x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Reg times_power_of_2(Reg x, Reg n) {
    const __m256i bias = _mm256_set1_epi32(127);
    const __m256i whole = _mm256_cvtps_epi32(n);
    const __m256i half = _mm256_srai_epi32(whole, 1);
    const __m256i rest = _mm256_sub_epi32(whole, half);
    const __m256i first_bits = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    const __m256i second_bits = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
    x = _mm256_mul_ps(x, _mm256_castsi256_ps(first_bits));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(second_bits));
  }
};

}  // namespace bobby::cpu
