#include "backends/cpu/ops/vector_avx2.h"
#include "backends/cpu/training/kernel_table.h"

namespace bobby::cpu {
namespace {

struct Avx2 : TrainingVector<VectorAvx2, 6> {
  static Reg load_levels4(const std::byte* packed) {
    std::int32_t word;
    std::memcpy(&word, packed, sizeof word);
    const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(word), shifts),
                                               _mm256_set1_epi32(15)));
  }
  static Reg load_levels8(const std::byte* packed) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(packed))));
  }
};

}  // namespace

constinit const TrainingKernels<float> kAvx2Training =
    training_kernels<Avx2>(DequantizeBody<Avx2>::dequantize);

}  // namespace bobby::cpu
