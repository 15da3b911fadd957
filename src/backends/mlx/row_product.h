#pragma once

#include <optional>

#include "backends/mlx/machine.h"
#include "backends/mlx/row_input.h"
#include "backends/mlx/weight.h"

namespace bobby::mlx_backend {

/// What adapters add to a product: scale z b^T.
struct RowAddend {
  mx::array z;      ///< fp32 [rows, ranks]
  mx::array b;      ///< fp32 [out_features, ranks], row after row
  mx::array scale;  ///< by load_constant()
};

/// Products of few rows on CUDA, by kernels of our own in place of MLX's: those are bound by how
/// they read x, and each costs the host as much as it costs the device (docs/lab/mlx.md). MLX
/// compiles them at first use. A row's bits do not depend on the rows beside it. Where such kernels
/// cannot run, it does the same by MLX's operations: a check of what surrounds them.
class RowProduct {
 public:
  /// More rows than this are quicker with the weight widened.
  static constexpr int kMostRows = 16;
  // As kernels/row_product.cuh and low_rank.cuh have them.
  static constexpr int kThreads = 256;
  static constexpr int kOutputsOfABlock = 16;

  explicit RowProduct(const Machine& machine);

  /// x W^T: fp32 [rows, out_features]. matrix: 4 bits, in groups of a multiple of 32 columns.
  /// residual: of the result's shape, added to it.
  mx::array operator()(const RowInput& input, const Matrix& matrix,
                       const std::optional<RowAddend>& addend = std::nullopt,
                       const std::optional<mx::array>& residual = std::nullopt) const;

  /// x A^T: fp32 [rows, ranks]. a: fp32 [ranks, columns], row after row. factor: [rows, ranks], by
  /// which the result is multiplied; where it is 0, the result is 0.
  mx::array low_rank(const RowInput& input, const mx::array& a,
                     const std::optional<mx::array>& factor) const;

 private:
  struct Kernels {
    mx::fast::CustomKernelFunction product;
    mx::fast::CustomKernelFunction low_rank;
  };
  mx::array by_operations(const RowInput& input, const Matrix& matrix,
                          const std::optional<RowAddend>& addend,
                          const std::optional<mx::array>& residual) const;
  mx::array low_rank_by_operations(const RowInput& input, const mx::array& a,
                                   const std::optional<mx::array>& factor) const;

  mx::Stream stream_;
  std::optional<Kernels> kernels_;
  // What stands where there is nothing: never read, but for the ones.
  mx::array none_;     ///< [1]
  mx::array nothing_;  ///< [1, 1]
  mx::array ones_;     ///< [kMostRows, 1]
};

}  // namespace bobby::mlx_backend
