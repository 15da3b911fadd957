#pragma once

#include <optional>

#include "backends/mlx/machine.h"

namespace bobby::mlx_backend {

/// A few rows as a product takes them: what comes before it is computed in its own kernel.
struct RowInput {
  /// What an RMS norm multiplies the normalised rows by.
  struct Norm {
    mx::array weight;  ///< [columns]
    float eps;
    mx::array eps_there;  ///< by load_constant()
  };
  mx::array x;  ///< fp32 [rows, columns], or gate | up [rows, 2 x columns]
  std::optional<Norm> norm = {};
};

/// The same by MLX's operations: fp32 [rows, columns].
mx::array compute(const RowInput& input, int columns, const mx::Stream& stream);

/// Columns [begin, begin + count) of a matrix.
mx::array columns_of(const mx::array& whole, int begin, int count, const mx::Stream& stream);

}  // namespace bobby::mlx_backend
