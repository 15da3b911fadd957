#pragma once

// Orders of sums that several kernels share, so that a row gets the same bits from each: 512
// threads take a row in stretches of 4096 numbers, thread i eight of them from 8 * i on; then
// block_sum().

#include "backends/cuda/launch.cuh"

namespace bobby::cuda {

inline constexpr int kNormThreads = 512;
inline constexpr int kNormStretch = kNormThreads * 8;

/// Another warp's numbers may have been written during this launch: past the first cache.
__device__ inline void load_eight(const float* from, float (&to)[8]) {
  const float4 low = __ldcg(reinterpret_cast<const float4*>(from));
  const float4 high = __ldcg(reinterpret_cast<const float4*>(from) + 1);
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

/// Eight numbers of a row from `column` on; 0 beyond its end.
__device__ inline void load_eight_of(const float* row, int column, int cols, float (&to)[8]) {
  if (cols % 8 == 0) {
    if (column < cols) return load_eight(row + column, to);
    for (float& value : to) value = 0.0f;
    return;
  }
#pragma unroll
  for (int d = 0; d < 8; ++d) to[d] = column + d < cols ? row[column + d] : 0.0f;
}

/// What eight numbers add to a thread's sum of squares.
__device__ inline float norm_squares(const float (&x)[8], float sum) {
#pragma unroll
  for (int d = 0; d < 8; ++d) sum = fmaf(x[d], x[d], sum);
  return sum;
}

/// What a row is multiplied by, before its weight.
__device__ inline float norm_factor(float squares, int cols, float eps) {
  return rsqrtf(__fdividef(squares, static_cast<float>(cols)) + eps);
}

__device__ inline float dot_eight(const float (&a)[8], const float (&x)[8], float sum) {
#pragma unroll
  for (int d = 0; d < 8; ++d) sum = fmaf(a[d], x[d], sum);
  return sum;
}

__device__ inline float silu(float gate) {
  return gate / (1.0f + expf(-gate));
}

}  // namespace bobby::cuda
