#pragma once

// What adapters add to outputs where a product writes them. A lane of a warp has, of a tile of 16
// outputs, those of number o and o + 8, of rows 8 j + 2 (lane % 4) + i: sums[4 j + i] and
// sums[4 j + i + 2]. The order of an output's sum is that of with_deltas().

#include "backends/cuda/linear_kernels.h"

namespace bobby::cuda {

__device__ inline float four_of(const float4& four, int i) {
  return i == 0 ? four.x : i == 1 ? four.y : i == 2 ? four.z : four.w;
}

/// Numbers of z that other blocks of this launch have written: past the first cache.
template <bool Fresh>
__device__ inline float4 load_four(const float* from) {
  const auto* at = reinterpret_cast<const float4*>(from);
  return Fresh ? __ldcg(at) : *at;
}

/// An output and one more delta.
__device__ inline float plus_delta(float sum, float y, float delta, float scale,
                                   const float* multiplier, int o) {
  delta *= scale;
  if (multiplier) {
    const float by = multiplier[o];
    delta = (by - 1.0f) * y + by * delta;
  }
  return sum + delta;
}

/// Adds one entry to a lane's outputs, which are those of the product alone if it has a multiplier.
template <bool Fresh, int Sums>
__device__ inline void add_entry(const LoraEntry& entry, const float* ax, int o, int first_row,
                                 float (&sums)[Sums]) {
  constexpr int kPairs = Sums / 4 < 4 ? Sums / 4 : 4;  // of rows, whose z are under way together
  constexpr int kRows = 2 * kPairs;
  const int t = static_cast<int>(threadIdx.x) % 4;
  const int rank = entry.rank;
  const float* b = entry.b + static_cast<long long>(o) * rank;
#pragma unroll
  for (int j = 0; j < Sums / 4; j += kPairs) {
    float deltas[kRows][2] = {};
    const float* z[kRows];
    bool there[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int row = first_row + (j + i / 2) * 8 + t * 2 + i % 2 - entry.row_begin;
      there[i] = row >= 0 && row < entry.row_count;
      z[i] = ax + entry.ax_begin +
             static_cast<long long>(min(max(row, 0), entry.row_count - 1)) * rank;
    }
    if (rank % 4 == 0) {
#pragma unroll 1
      for (int r = 0; r < rank; r += 8) {
        const bool more = r + 4 < rank;  // else the first four again, for nothing
        float4 of_b[2][2], of_z[kRows][2];
#pragma unroll
        for (int k = 0; k < 2; ++k)
#pragma unroll
          for (int h = 0; h < 2; ++h)
            of_b[k][h] =
                *reinterpret_cast<const float4*>(b + 8 * k * rank + r + (more ? 4 * h : 0));
#pragma unroll
        for (int i = 0; i < kRows; ++i)
#pragma unroll
          for (int h = 0; h < 2; ++h) of_z[i][h] = load_four<Fresh>(z[i] + r + (more ? 4 * h : 0));
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          if (h == 1 && !more) break;
#pragma unroll
          for (int i = 0; i < kRows; ++i)
#pragma unroll
            for (int k = 0; k < 2; ++k)
#pragma unroll
              for (int d = 0; d < 4; ++d)
                deltas[i][k] = fmaf(four_of(of_b[k][h], d), four_of(of_z[i][h], d), deltas[i][k]);
        }
      }
    } else {
#pragma unroll 1
      for (int r = 0; r < rank; ++r) {
        const float above = b[r];
        const float below = b[8 * rank + r];
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          const float of_z = Fresh ? __ldcg(z[i] + r) : z[i][r];
          deltas[i][0] = fmaf(above, of_z, deltas[i][0]);
          deltas[i][1] = fmaf(below, of_z, deltas[i][1]);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        float& sum = sums[(j + i / 2) * 4 + k * 2 + i % 2];
        const float with =
            plus_delta(sum, sum, deltas[i][k], entry.scale, entry.multiplier, o + 8 * k);
        if (there[i]) sum = with;
      }
  }
}

/// An output that has been written, with all entries of its matrix: for those that are rare.
template <bool Fresh>
__device__ inline void finish_output(const InnerDeltas& deltas, int matrix, int row, int o,
                                     float* out) {
  const float y = *out;
  float sum = y;
#pragma unroll 1
  for (int i = deltas.first[matrix]; i < deltas.first[matrix + 1]; ++i) {
    const LoraEntry& entry = deltas.entries[i];
    if (row < entry.row_begin || row >= entry.row_begin + entry.row_count) continue;
    const float* b = entry.b + static_cast<long long>(o) * entry.rank;
    const float* z =
        deltas.ax + entry.ax_begin + static_cast<long long>(row - entry.row_begin) * entry.rank;
    float delta = 0.0f;
#pragma unroll 4
    for (int r = 0; r < entry.rank; ++r) delta = fmaf(b[r], Fresh ? __ldcg(z + r) : z[r], delta);
    sum = plus_delta(sum, y, delta, entry.scale, entry.multiplier, o);
  }
  *out = sum;
}

}  // namespace bobby::cuda
