#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"
#include "tensor/weight_view.h"

namespace bobby {

/// A weight in MLX's layout, owned: what a GGUF tensor of 32-value blocks becomes.
struct AffineTensor {
  WeightFormat format;                ///< affine, group 32, float16 scales
  std::vector<std::uint32_t> weight;  ///< [rows, cols * bits / 32]
  std::vector<std::uint16_t> scales;  ///< [rows, cols / 32] float16 bits
  std::vector<std::uint16_t> biases;  ///< [rows, cols / 32] float16 bits
};

/// Bits of the affine format that holds `type` without loss (4 for Q4_0 and Q4_1, 8 for Q8_0), or
/// 0.
int affine_bits(std::uint32_t type);

/// Rewrites a [rows, cols] tensor of Q4_0, Q4_1 or Q8_0 blocks as affine groups of 32, every weight
/// exactly the same number:
///   Q4_1  w = d*q + m        -> scale d, bias m
///   Q4_0  w = d*(q - 8)      -> scale d, bias -8d      (exact: a power of two times d)
///   Q8_0  w = d*q, q signed  -> scale d, bias -128d over q + 128
/// kUnsupported when a bias leaves float16's range, which names the row.
/// `row_source[r]` is the GGUF row that becomes row r (all rows in order when empty).
Result<AffineTensor> affine_from_blocks(const GgufTensor& tensor, const std::string& where,
                                        std::span<const std::int64_t> row_source = {});

}  // namespace bobby
