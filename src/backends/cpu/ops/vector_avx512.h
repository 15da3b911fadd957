#pragma once

// Sixteen floats. See vector_portable.h for what each means.

#include <cstdint>
#include <immintrin.h>

namespace bobby::cpu {

struct VectorAvx512 {
  using Reg = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kQueries = 4;

  static Reg set1(float x) { return _mm512_set1_ps(x); }
  static Reg load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Reg v) { _mm512_storeu_ps(to, v); }
  static __mmask16 mask(std::int64_t lanes) { return static_cast<__mmask16>((1u << lanes) - 1u); }
  static Reg load_n(const float* from, std::int64_t lanes) {
    return lanes == kLanes ? load(from) : _mm512_maskz_loadu_ps(mask(lanes), from);
  }
  static void store_n(float* to, Reg v, std::int64_t lanes) {
    if (lanes == kLanes) return store(to, v);
    _mm512_mask_storeu_ps(to, mask(lanes), v);
  }
  static Reg load_half_n(const std::uint16_t* from, std::int64_t lanes) {
    return _mm512_cvtph_ps(lanes == kLanes
                               ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))
                               : _mm256_maskz_loadu_epi16(mask(lanes), from));
  }
  static void store_half_n(std::uint16_t* to, Reg v, std::int64_t lanes) {
    const __m256i half = _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_mask_storeu_epi16(to, mask(lanes), half);
  }

  static Reg load_int8_n(const std::int8_t* from, std::int64_t lanes) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(
        lanes == kLanes ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(from))
                        : _mm_maskz_loadu_epi8(mask(lanes), from)));
  }
  static void store_int8_n(std::int8_t* to, Reg v, std::int64_t lanes) {
    _mm512_mask_cvtepi32_storeu_epi8(to, mask(lanes), _mm512_cvtps_epi32(v));
  }

  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm512_div_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg max(Reg a, Reg b) { return _mm512_max_ps(a, b); }
  static Reg min(Reg a, Reg b) { return _mm512_min_ps(a, b); }

  static float sum(Reg v) { return _mm512_reduce_add_ps(v); }
  static void sum4(const Reg (&v)[4], float* out) {
    const Reg ab = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    const Reg cd = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    const Reg sums = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, _MM_SHUFFLE(1, 0, 1, 0)),
                                   _mm512_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 2, 3, 2)));
    const __m256 halves =
        _mm256_add_ps(_mm512_castps512_ps256(sums), _mm512_extractf32x8_ps(sums, 1));
    _mm_storeu_ps(out,
                  _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)));
  }
  static std::int64_t count_beyond(Reg v, float limit) {
    return __builtin_popcount(
        _mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(limit), _CMP_GT_OQ));
  }
  static float largest(Reg v) { return _mm512_reduce_max_ps(v); }
  static float first(Reg v) { return _mm512_cvtss_f32(v); }

  static Reg round(Reg x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Reg times_power_of_2(Reg x, Reg n) { return _mm512_scalef_ps(x, n); }
};

}  // namespace bobby::cpu
