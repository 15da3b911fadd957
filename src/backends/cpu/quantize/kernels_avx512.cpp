#include "backends/cpu/ops/vector_avx512.h"
#include "backends/cpu/quantize/pack_avx2.h"
#include "backends/cpu/quantize/quantize_body.h"

namespace bobby::cpu {
namespace {

struct Avx512 : VectorAvx512 {
  static Reg load_bf16(const std::byte* from) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
  static Reg load_f16(const std::byte* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Reg select(Reg a, Reg b, Reg then, Reg other) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), other, then);
  }
  static Reg magnitude(Reg x) { return _mm512_abs_ps(x); }
  static Reg truncate(Reg x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
  }
  static Reg nearest_even(Reg x) { return round(x); }
  static void store_levels(std::uint8_t* to, Reg v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v)));
  }

  struct Squares {
    __m512d sums[2] = {};
    template <int kPart>
    void add(Reg v) {
      const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
      const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
      sums[0] = _mm512_fmadd_pd(low, low, sums[0]);
      sums[1] = _mm512_fmadd_pd(high, high, sums[1]);
    }
    void store(double* out) const {
      _mm512_storeu_pd(out, sums[0]);
      _mm512_storeu_pd(out + 8, sums[1]);
    }
  };

  template <int kBits>
  static void pack(const std::uint8_t* levels, std::byte* out) {
    pack_levels32<kBits>(levels, out);
  }
};

}  // namespace

constinit const QuantizeKernels kAvx512Quantize = QuantizeBody<Avx512>::table();

}  // namespace bobby::cpu
