#pragma once

// Dense products over a policy V of sixteen-lane vectors, as kernel_body.h has it: F32
// with zero_f, fma(a, b, c), add, load_f(float*), load_as<type>(bytes) and fold.

#include "backends/cpu/linear/kernels.h"
#include "backends/cpu/linear/unroll.h"

namespace bobby::cpu {
namespace {

template <int kType, int kRows>
inline void dense_row(const DenseArgs& a, std::int64_t row, std::int64_t x_row) {
  constexpr int kElement = kType == kF32 ? 4 : 2;
  const unsigned char* weight = a.weight + row * a.weight_stride;
  const float* x = a.x + x_row * a.x_stride;
  V::F32 low[kRows];
  V::F32 high[kRows];
  for (int m = 0; m < kRows; ++m) low[m] = high[m] = V::zero_f();
  std::int64_t k = 0;
  for (; k + 32 <= a.cols; k += 32) {
    const V::F32 first = V::template load_as<kType>(weight + k * kElement);
    const V::F32 second = V::template load_as<kType>(weight + (k + 16) * kElement);
    BOBBY_UNROLL(8)
    for (int m = 0; m < kRows; ++m) {
      low[m] = V::fma(first, V::load_f(x + m * a.x_stride + k), low[m]);
      high[m] = V::fma(second, V::load_f(x + m * a.x_stride + k + 16), high[m]);
    }
  }
  if (const std::int64_t left = a.cols - k; left > 0) {
    alignas(64) unsigned char weights[32 * 4] = {};
    __builtin_memcpy(weights, weight + k * kElement, left * kElement);
    const V::F32 first = V::template load_as<kType>(weights);
    const V::F32 second = V::template load_as<kType>(weights + 16 * kElement);
    for (int m = 0; m < kRows; ++m) {
      alignas(64) float xs[32] = {};
      __builtin_memcpy(xs, x + m * a.x_stride + k, left * sizeof(float));
      low[m] = V::fma(first, V::load_f(xs), low[m]);
      high[m] = V::fma(second, V::load_f(xs + 16), high[m]);
    }
  }
  for (int m = 0; m < kRows; ++m) {
    a.out[(x_row + m) * a.out_stride + row] = V::fold(V::add(low[m], high[m]));
  }
}

template <int kType>
void dense_rows(const DenseArgs& a) {
  std::int64_t m = 0;
  for (; m + 4 <= a.x_rows; m += 4) {
    for (std::int64_t row = 0; row < a.rows; ++row) dense_row<kType, 4>(a, row, m);
  }
  for (; m < a.x_rows; ++m) {
    for (std::int64_t row = 0; row < a.rows; ++row) dense_row<kType, 1>(a, row, m);
  }
}

void dense(const DenseArgs& a) {
  switch (a.element_type) {
    case kF16: return dense_rows<kF16>(a);
    case kBF16: return dense_rows<kBF16>(a);
    default: return dense_rows<kF32>(a);
  }
}

}  // namespace
}  // namespace bobby::cpu
