#pragma once

#include "backends/mlx/machine.h"
#include "backends/mlx/weight.h"

namespace bobby::mlx_backend {

/// x W^T for few rows of x and 4-bit weights, on CUDA: a kernel of our own in place of MLX's, which
/// is bound by how it reads x (docs/lab/mlx.md). MLX compiles it at first use.
class RowProduct {
 public:
  /// More rows than this are quicker with the weight widened.
  static constexpr int kMostRows = 16;

  explicit RowProduct(const Machine& machine);

  /// x: fp32 [rows, in_features]. matrix: 4 bits, in groups of a multiple of 32 columns. The result
  /// is fp32 [rows, out_features]; a row's bits do not depend on the rows beside it.
  mx::array operator()(const mx::array& x, const Matrix& matrix) const;

 private:
  mx::fast::CustomKernelFunction kernel_;
  mx::Stream stream_;
};

}  // namespace bobby::mlx_backend
