#pragma once

// The kernels of weights in tile order (tile_order.h).

#include <cuda_runtime.h>

#include "backends/cuda/linear_kernels.h"

namespace bobby::cuda {

/// Rows of x in q15 for weights in tile order.
struct TiledX {
  uint4* bytes = nullptr;    ///< [rows, groups, 2, 4] of 16 bytes: hi, then lo, as tile_byte() says
  float2* scales = nullptr;  ///< [rows, groups]: the group's scale, scale * sum of the integers
};

/// `rows` rows of a weight, as the file has them, into tile order. A multiple of 16.
void reorder_tiles(const void* weight, const void* scales, const void* biases, int rows, int cols,
                   void* to, cudaStream_t stream);
void quantize_tiled(const float* x, int rows, int cols, TiledX to, cudaStream_t stream);
void tiled_product(const Matrices& matrices, TiledX x, int rows, cudaStream_t stream);

}  // namespace bobby::cuda
