#include "backends/cpu/ops/vector_avx512.h"
#include "backends/cpu/training/kernel_table.h"

namespace bobby::cpu {
namespace {

struct Avx512 : TrainingVector<VectorAvx512, 12> {
  static Reg load_levels4(const std::byte* packed) {
    std::int64_t words;
    std::memcpy(&words, packed, sizeof words);
    const __m512i which = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m512i shifts =
        _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    const __m512i spread = _mm512_permutexvar_epi32(which, _mm512_set1_epi64(words));
    return _mm512_cvtepi32_ps(
        _mm512_and_si512(_mm512_srlv_epi32(spread, shifts), _mm512_set1_epi32(15)));
  }
  static Reg load_levels8(const std::byte* packed) {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed))));
  }
};

}  // namespace

constinit const TrainingKernels<float> kAvx512Training =
    training_kernels<Avx512>(DequantizeBody<Avx512>::dequantize);

}  // namespace bobby::cpu
