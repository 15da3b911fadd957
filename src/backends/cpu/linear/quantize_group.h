#pragma once

// Activations of one group as integers up to `level`, as kernels.h says. In an unnamed namespace
// and of builtins alone, for the reason given in kernel_body.h.

#include <cstdint>

namespace bobby::cpu {
namespace {

struct GroupQuantizer {
  float scale;
  float inverse;
};

inline GroupQuantizer group_quantizer(const float* x, int count, float level) {
  std::int32_t largest = 0;  // bits of |x| order like |x|, with infinity and NaN above all numbers
  for (int i = 0; i < count; ++i) {
    std::int32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  if (largest >= 0x7f800000) return {__builtin_nanf(""), 0.0f};
  float max;
  __builtin_memcpy(&max, &largest, sizeof max);
  if (max < 0x1p-100f) max = 0x1p-100f;
  return {max / level, level / max};
}

// Quantises one group into q, in column order; returns the sum of the integers.
inline std::int32_t quantize_group(const float* x, int count, float inverse, std::int16_t* q) {
  constexpr float kRound =
      0x1.8p23f;  // adding and subtracting it rounds |v| < 2^22 to nearest even
  std::int32_t sum = 0;
  for (int i = 0; i < count; ++i) {
    const float rounded = (x[i] * inverse + kRound) - kRound;
    const std::int32_t value = static_cast<std::int32_t>(rounded);
    q[i] = static_cast<std::int16_t>(value);
    sum += value;
  }
  return sum;
}

}  // namespace
}  // namespace bobby::cpu
