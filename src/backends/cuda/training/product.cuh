#pragma once

// What both products share: which output a tile is of, and how sums are written.

#include "backends/cuda/training/product.h"

namespace bobby::cuda {

/// The output that tile `tile` of columns belongs to.
__device__ inline const ProductOutput& output_of(const ProductArgs& args, int tile) {
  int index = 0;
  while (index + 1 < args.output_count && tile >= args.outputs[index + 1].tiles_before) ++index;
  return args.outputs[index];
}

/// The sums of columns `col` and `col + 1` of a row, wherever they lie within the output.
__device__ inline void write_pair(const ProductOutput& output, int rows, int row, int col,
                                  float first, float second) {
  if (row >= rows || col >= output.cols) return;
  const long long at = static_cast<long long>(row) * output.cols + col;
  const bool both = col + 1 < output.cols;
  if (output.multiplier) {
    output.unscaled[at] = first;
    first *= output.multiplier[col];
    if (both) {
      output.unscaled[at + 1] = second;
      second *= output.multiplier[col + 1];
    }
  }
  if (output.bias) {
    first += output.bias[col];
    if (both) second += output.bias[col + 1];
  }
  if (both && output.cols % 2 == 0) {
    *reinterpret_cast<float2*>(output.out + at) = make_float2(first, second);
    return;
  }
  output.out[at] = first;
  if (both) output.out[at + 1] = second;
}

}  // namespace bobby::cuda
