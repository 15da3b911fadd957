// x A^T: what low-rank pairs make of x.
#pragma once

#include "backends/mlx/kernels/row_input.cuh"

/// Blocks are [row of x, rank], of 256 threads. a: [ranks, columns]. z: [rows, ranks]. factor: one
/// number for each of the results where `factor_width` is `ranks`, else one for all. Where it is 0
/// the result is 0, whatever the product is: another voice's infinity stays its own.
__device__ inline void low_rank(const RowInput& x, const float* a, int ranks, int columns,
                                const float* factor, int factor_width, float* z) {
  constexpr int kWarps = 8;
  __shared__ float of_warps[kWarps];
  const int rank = blockIdx.y;
  const Row row = row_of(x, blockIdx.x, columns);
  const float4* own = reinterpret_cast<const float4*>(a + static_cast<size_t>(rank) * columns);
  float squares = 0.0f, dot = 0.0f;
  for (int at = threadIdx.x; at < columns / 4; at += 32 * kWarps) {
    const float4 w = own[at];
    const float4 v = four(row, at, squares);
    dot = fmaf(v.x, w.x, fmaf(v.y, w.y, fmaf(v.z, w.z, fmaf(v.w, w.w, dot))));
  }
  dot = sum_of_block(dot, of_warps, kWarps);
  if (row.norm != nullptr)
    dot *= norm_factor(sum_of_block(squares, of_warps, kWarps), columns, x.eps[0]);
  const size_t at = static_cast<size_t>(blockIdx.x) * ranks + rank;
  const float f = factor_width == ranks ? factor[at] : factor[0];
  if (threadIdx.x == 0) z[at] = f == 0.0f ? 0.0f : dot * f;
}
