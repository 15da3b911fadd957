#pragma once

// RMSNorm with what stands around it: the sum that makes its row, and the rounding for the product
// that follows.

#include <cuda_runtime.h>

#include "backends/cuda/tile_order.h"
#include "backends/cuda/x_tiles.h"

namespace bobby::cuda {

struct NormArgs {
  float* x = nullptr;
  const float* y = nullptr;  ///< null, or x += y first
  const float* weight = nullptr;
  float eps = 0.0f;
  float* out = nullptr;
  int rows = 0;
  int cols = 0;
  RowTiles tiles;  ///< of `out`
};

/// Whether rows of `cols` columns are held by a block as a whole.
constexpr bool has_add_norm(std::int64_t cols) {
  return cols % kTileGroup == 0 && cols <= 8192;
}
void load_norm_kernels();
/// `deltas`: of y.
void add_norm(const NormArgs& args, const Deltas& deltas, cudaStream_t stream);

}  // namespace bobby::cuda
