// Dense products on NEON, in the order that kernels.h states: 32 sums of an output are eight
// registers, and two outputs, of two rows of x or of the weight, share what the other one is.
#pragma once

#include "backends/cpu/linear/lora_body.h"
#include "backends/cpu/linear/neon_vectors.h"

namespace bobby::cpu {
namespace {

constexpr int kDenseColumns = 32;

template <int kType>
[[gnu::always_inline]] inline void eight_numbers(const unsigned char* from, float32x4_t* out) {
  if constexpr (kType == kF32) {
    out[0] = vreinterpretq_f32_u8(vld1q_u8(from));
    out[1] = vreinterpretq_f32_u8(vld1q_u8(from + 16));
  } else {
    const uint16x8_t bits = vreinterpretq_u16_u8(vld1q_u8(from));
    if constexpr (kType == kF16) {
      out[0] = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(bits)));
      out[1] = vcvt_high_f32_f16(vreinterpretq_f16_u16(bits));
    } else {
      out[0] = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(bits), 16));
      out[1] = vreinterpretq_f32_u32(vshll_high_n_u16(bits, 16));
    }
  }
}

/// Adds 32 columns.
template <int kType, int kW, int kX>
[[gnu::always_inline]] inline void add_dense(const unsigned char* const* weight,
                                             const float* const* x, float32x4_t (*acc)[kX][8]) {
  constexpr int kElement = kType == kF32 ? 4 : 2;
  BOBBY_UNROLL(4)
  for (int i = 0; i < 8; i += 2) {
    float32x4_t numbers[kW][2];
    BOBBY_UNROLL(2)
    for (int w = 0; w < kW; ++w) eight_numbers<kType>(weight[w] + i * 4 * kElement, numbers[w]);
    BOBBY_UNROLL(2)
    for (int m = 0; m < kX; ++m) {
      BOBBY_UNROLL(2)
      for (int j = 0; j < 2; ++j) {
        const float32x4_t values = vld1q_f32(x[m] + (i + j) * 4);
        BOBBY_UNROLL(2)
        for (int w = 0; w < kW; ++w) {
          acc[w][m][i + j] = vfmaq_f32(acc[w][m][i + j], numbers[w][j], values);
        }
      }
    }
  }
}

template <int kType, int kW, int kX>
void dense_rows(const DenseArgs& a, std::int64_t row, std::int64_t x_row) {
  constexpr int kElement = kType == kF32 ? 4 : 2;
  const unsigned char* weight[kW];
  const float* x[kX];
  float32x4_t acc[kW][kX][8];
  BOBBY_UNROLL(2)
  for (int w = 0; w < kW; ++w) {
    weight[w] = a.weight + (row + w) * a.weight_stride;
    BOBBY_UNROLL(2)
    for (int m = 0; m < kX; ++m) {
      BOBBY_UNROLL(8)
      for (int i = 0; i < 8; ++i) acc[w][m][i] = vdupq_n_f32(0.0f);
    }
  }
  BOBBY_UNROLL(2)
  for (int m = 0; m < kX; ++m) x[m] = a.x + (x_row + m) * a.x_stride;

  std::int64_t k = 0;
  for (; k + kDenseColumns <= a.cols; k += kDenseColumns) {
    add_dense<kType, kW, kX>(weight, x, acc);
    BOBBY_UNROLL(2)
    for (int w = 0; w < kW; ++w) weight[w] += kDenseColumns * kElement;
    BOBBY_UNROLL(2)
    for (int m = 0; m < kX; ++m) x[m] += kDenseColumns;
  }
  if (const std::int64_t left = a.cols - k; left > 0) {
    alignas(16) unsigned char weights[kW][kDenseColumns * 4] = {};
    alignas(16) float values[kX][kDenseColumns] = {};
    for (int w = 0; w < kW; ++w) {
      __builtin_memcpy(weights[w], weight[w], left * kElement);
      weight[w] = weights[w];
    }
    for (int m = 0; m < kX; ++m) {
      __builtin_memcpy(values[m], x[m], left * sizeof(float));
      x[m] = values[m];
    }
    add_dense<kType, kW, kX>(weight, x, acc);
  }
  BOBBY_UNROLL(2)
  for (int w = 0; w < kW; ++w) {
    BOBBY_UNROLL(2)
    for (int m = 0; m < kX; ++m) {
      float32x4_t four[4];
      BOBBY_UNROLL(4)
      for (int i = 0; i < 4; ++i) four[i] = vaddq_f32(acc[w][m][i], acc[w][m][i + 4]);
      a.out[(x_row + m) * a.out_stride + row + w] = fold_sixteen(four);
    }
  }
}

template <int kType>
void dense_of(const DenseArgs& a) {
  std::int64_t m = 0;
  for (; m + 2 <= a.x_rows; m += 2) {
    for (std::int64_t row = 0; row < a.rows; ++row) dense_rows<kType, 1, 2>(a, row, m);
  }
  if (m == a.x_rows) return;
  std::int64_t row = 0;
  for (; row + 2 <= a.rows; row += 2) dense_rows<kType, 2, 1>(a, row, m);
  if (row < a.rows) dense_rows<kType, 1, 1>(a, row, m);
}

void dense(const DenseArgs& a) {
  switch (a.element_type) {
    case kF16: return dense_of<kF16>(a);
    case kBF16: return dense_of<kBF16>(a);
    default: return dense_of<kF32>(a);
  }
}

}  // namespace
}  // namespace bobby::cpu
