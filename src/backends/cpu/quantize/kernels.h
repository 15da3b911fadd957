#pragma once

// The kernels of quantising, one table for each instruction set. What they compute is defined by
// tensor/formats/affine_quantize.cpp, and every table gives its bits: divisions are divisions,
// nothing is fused, and sums of errors are sixteen of doubles, in which each square is exact.

#include <cstddef>
#include <cstdint>

namespace bobby::cpu {

/// One row of a dense weight and how it is quantised.
struct QuantizeRow {
  enum class Element : std::uint8_t { kF32, kF16, kBf16 };
  const std::byte* weight = nullptr;  ///< [cols], at any alignment
  Element element = Element::kF32;
  std::int64_t cols = 0;  ///< a multiple of group_size
  int bits = 0;
  int group_size = 0;
  bool away = false;  ///< Rounding::kGpu: halves away from zero, a range that reaches up to 0
};

/// One number for each group of a row.
struct QuantizeGroups {
  float* low = nullptr;  ///< the least value, and the greatest
  float* high = nullptr;
  float* scale = nullptr;  ///< in fp32, before it is narrowed
  float* bias = nullptr;
  float* stored = nullptr;  ///< the scale as it reads back
};

/// See RowError.
struct QuantizeSums {
  double error = 0;
  double weight = 0;
  float largest = 0;
};

struct QuantizeKernels {
  /// low and high of every group. False: a number of the row is NaN or infinite.
  bool (*ranges)(const QuantizeRow& row, const QuantizeGroups& groups) = nullptr;
  /// scale and bias of every group from low and high.
  void (*scales)(const QuantizeRow& row, const QuantizeGroups& groups) = nullptr;
  /// The row's levels, one a byte, and what is lost when they are read with `stored` and bias.
  QuantizeSums (*levels)(const QuantizeRow& row, const QuantizeGroups& groups,
                         std::uint8_t* levels) = nullptr;
  /// `count` levels, a multiple of 32, as one string of bits.
  void (*pack)(const std::uint8_t* levels, std::int64_t count, int bits, std::byte* out) = nullptr;
};

extern const QuantizeKernels kPortableQuantize;
extern const QuantizeKernels kAvx2Quantize;    // x86-64: AVX2, FMA, F16C
extern const QuantizeKernels kAvx512Quantize;  // x86-64: AVX-512 F, BW, DQ, VL
extern const QuantizeKernels kNeonQuantize;    // aarch64

}  // namespace bobby::cpu
