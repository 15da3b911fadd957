#pragma once

// MLX's floating point modes of quantization: small floats that share a scale by the group. Kernels
// do not read them: a weight in one is turned, once, into a format that holds each of its numbers
// exactly (docs/adr/0023, docs/formats/quantization.md).

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tensor/formats/affine.h"
#include "tensor/weight_view.h"

namespace bobby {

/// MLX's `mode` of a quantised weight.
enum class QuantizationMode : std::uint8_t {
  kAffine,  ///< tensor/formats/affine.h
  kMxfp4,   ///< e2m1 values, powers of two as scales, groups of 32
  kMxfp8,   ///< e4m3 values, powers of two as scales, groups of 32
  kNvfp4,   ///< e2m1 values, e4m3 scales, groups of 16
};

/// What a floating point mode fixes: each has one width and one group size.
struct FloatMode {
  QuantizationMode mode;
  std::string_view name;  ///< MLX's: "mxfp4"
  int bits;
  int group_size;
};

/// The three of them.
std::span<const FloatMode> float_modes();

/// That of `mode`; null for kAffine.
const FloatMode* find_float_mode(QuantizationMode mode);

/// A weight in a floating point mode, as the checkpoint stores it: pointers into somebody else's
/// memory, at any alignment.
struct FloatWeightView {
  std::string name;  ///< module path for messages
  QuantizationMode mode = QuantizationMode::kMxfp4;
  std::int64_t rows = 0;
  std::int64_t cols = 0;              ///< a multiple of the mode's group size
  const std::byte* weight = nullptr;  ///< [rows, cols * bits / 32] uint32, little-endian
  const std::byte* scales = nullptr;  ///< [rows, cols / group_size] bytes
};

/// The format that a mode is turned into. mxfp4: affine, 5 bits, groups of 32, bfloat16 scales (two
/// times e2m1 is a whole number from -12 to 12). The others: dense bfloat16.
/// Precondition here and below: a floating point mode.
WeightFormat exact_format(QuantizationMode mode);

/// Rows [begin, begin + count) in exact_format(), bit for bit what mx.dequantize gives in bfloat16,
/// but for the sign of an mxfp4 zero. Dense formats write `out.weight` alone. Rows do not depend on
/// each other. kNumeric: a number that is NaN or about as large as bfloat16 goes, which no
/// quantiser writes.
Result<void> convert_rows(const FloatWeightView& from, std::int64_t begin, std::int64_t count,
                          const AffineRows& out);

}  // namespace bobby
