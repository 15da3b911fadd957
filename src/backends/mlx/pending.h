#pragma once

#include <functional>
#include <variant>

#include "backends/mlx/machine.h"
#include "backends/mlx/row_input.h"

namespace bobby::mlx_backend {

// What an operation would give, of few rows on CUDA: computed when somebody reads it, which is
// never where the kernel of the next operation does it on the way.

/// Columns [begin, begin + cols) of a product.
struct PendingColumns {
  mx::array whole;
  int begin;
  int cols;
};

/// A norm of x, or SwiGLU of gate | up.
struct PendingInput {
  RowInput input;
  int cols;  ///< of the result
};

/// A product, to which a residual may still be added.
struct PendingProduct {
  std::function<mx::array(const std::optional<mx::array>& residual)> make;
};

using Pending = std::variant<PendingColumns, PendingInput, PendingProduct>;

/// fp32 [rows, cols]
mx::array compute(const Pending& pending, const Machine& machine);

}  // namespace bobby::mlx_backend
