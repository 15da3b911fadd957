#pragma once

#include <bobby/export.h>
#include <bobby/result.h>
#include <cstdint>
#include <span>
#include <vector>

namespace bobby::v1 {

/// Numbers in rows, one row after the other, in somebody else's memory.
template <typename T>
struct BasicMatrixView {
  std::span<const T> values;  ///< rows * cols
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

/// Numbers in rows, one row after the other.
template <typename T>
struct BasicMatrix {
  std::vector<T> values;  ///< rows * cols
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  operator BasicMatrixView<T>() const { return {values, rows, cols}; }
};

using Matrix = BasicMatrix<float>;
using MatrixView = BasicMatrixView<float>;
/// Levels of a quantised weight, packed as MLX packs them: cols * bits / 32 words a row.
using PackedMatrix = BasicMatrix<std::uint32_t>;
using PackedMatrixView = BasicMatrixView<std::uint32_t>;

/// A weight in MLX's affine format: w = scale * level + bias, with a scale and a bias for each
/// `group_size` columns of a row.
struct Quantized {
  PackedMatrix weight;
  Matrix scales;  ///< [rows, cols / group_size]
  Matrix biases;  ///< [rows, cols / group_size]
};

/// As mx.quantize, bit for bit. group_size: 32, 64 or 128, and w.cols a multiple of it; bits: 2, 3,
/// 4, 5, 6 or 8. kUnsupported, kMismatch; kUsage: values.size() is not rows * cols; kNumeric: a
/// number that is not finite.
BOBBY_API Result<Quantized> quantize(MatrixView w, int group_size = 64, int bits = 4);

/// The numbers that a quantised weight stands for.
BOBBY_API Result<Matrix> dequantize(PackedMatrixView w, MatrixView scales, MatrixView biases,
                                    int group_size = 64, int bits = 4);

/// x W^T when `transpose`, otherwise x W, with W quantised: plain sums in fp32, one after the
/// other. The definition that the fast kernels are checked against, not one of them.
BOBBY_API Result<Matrix> quantized_matmul(MatrixView x, PackedMatrixView w, MatrixView scales,
                                          MatrixView biases, bool transpose = true,
                                          int group_size = 64, int bits = 4);

}  // namespace bobby::v1
