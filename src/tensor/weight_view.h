#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tensor/dtype.h"

namespace bobby {

/// How a weight's numbers are stored.
struct WeightFormat {
  enum class Kind : std::uint8_t {
    kDense,   ///< `dtype` elements, one a weight
    kAffine,  ///< MLX affine: w = scale * q + bias per group; see docs/formats/quantization.md
  };
  Kind kind = Kind::kDense;
  DType dtype = DType::kF32;  ///< kDense: the element type; kAffine: the type of scales and biases
  int bits = 0;               ///< kAffine: 2, 3, 4, 5, 6 or 8
  int group_size = 0;         ///< kAffine: 32, 64 or 128 input columns that share scale and bias

  /// "bfloat16", "affine 4-bit group 64 (bfloat16 scales)"
  std::string to_string() const;
  bool operator==(const WeightFormat&) const = default;
};

/// A weight as the checkpoint stores it: pointers into somebody else's memory (the mapped file),
/// not owned, not necessarily aligned beyond one element. A vector (a norm's weight) is [1, cols].
struct WeightView {
  std::string name;  ///< module path for messages: "model.layers.0.mlp.down_proj"
  WeightFormat format;
  std::int64_t rows = 0;              ///< out_features (for an embedding: vocab_size)
  std::int64_t cols = 0;              ///< in_features (for an embedding: hidden_size)
  const std::byte* weight = nullptr;  ///< dense [rows, cols], or packed [rows, cols*bits/32] uint32
  const std::byte* scales = nullptr;  ///< affine: [rows, cols/group_size] of format.dtype
  const std::byte* biases = nullptr;  ///< affine: [rows, cols/group_size] of format.dtype

  /// Bytes of one row of `weight`, and of one row of `scales` (= of `biases`; 0 when dense).
  std::size_t weight_row_bytes() const;
  std::size_t scales_row_bytes() const;
  /// All bytes that one pass over this weight reads.
  std::size_t total_bytes() const;
};

}  // namespace bobby
