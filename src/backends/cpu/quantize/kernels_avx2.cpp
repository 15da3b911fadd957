#include "backends/cpu/ops/vector_avx2.h"
#include "backends/cpu/quantize/pack_avx2.h"
#include "backends/cpu/quantize/quantize_body.h"

namespace bobby::cpu {
namespace {

struct Avx2 : VectorAvx2 {
  static Reg load_bf16(const std::byte* from) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  static Reg load_f16(const std::byte* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Reg select(Reg a, Reg b, Reg then, Reg other) {
    return _mm256_blendv_ps(other, then, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
  }
  static Reg magnitude(Reg x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
  static Reg truncate(Reg x) { return _mm256_round_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  static Reg nearest_even(Reg x) { return round(x); }
  static void store_levels(std::uint8_t* to, Reg v) {
    const __m256i whole = _mm256_cvttps_epi32(v);
    const __m128i halves =
        _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(halves, halves));
  }

  struct Squares {
    __m256d sums[4] = {};
    template <int kPart>
    void add(Reg v) {
      const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
      const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
      sums[2 * kPart] = _mm256_fmadd_pd(low, low, sums[2 * kPart]);
      sums[2 * kPart + 1] = _mm256_fmadd_pd(high, high, sums[2 * kPart + 1]);
    }
    void store(double* out) const {
      for (int i = 0; i < 4; ++i) _mm256_storeu_pd(out + 4 * i, sums[i]);
    }
  };

  template <int kBits>
  static void pack(const std::uint8_t* levels, std::byte* out) {
    pack_levels32<kBits>(levels, out);
  }
};

}  // namespace

constinit const QuantizeKernels kAvx2Quantize = QuantizeBody<Avx2>::table();

}  // namespace bobby::cpu
