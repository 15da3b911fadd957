#pragma once

#include <cuda_runtime.h>

#include "backends/cuda/x_tiles.h"

namespace bobby::cuda {

struct GatedArgs {
  const float* gate = nullptr;
  const float* up = nullptr;
  float* out = nullptr;
  int rows = 0;
  int cols = 0;
  RowTiles tiles;  ///< of `out`: not halves
};

void load_gated_kernels();
/// SwiGLU of rows of decode, rounded for the product that follows. `deltas`: of gate and up.
void gate_rows(const GatedArgs& args, const Deltas& deltas, cudaStream_t stream);

}  // namespace bobby::cuda
