#pragma once

// Outputs of several rows with what biases and adapters add to them.

#include "backends/cuda/linear_kernels.cuh"

namespace bobby::cuda {

inline constexpr int kMostMatching = 64;  // adapters of the same few rows

/// The entries that concern a block, in their order, in shared memory. All of its threads call it.
struct Matching {
  short entry[kMostMatching];
  int before[kWarps];
  int count;

  __device__ void find(const LoraEntries& entries, int matrix, int row_begin, int row_end) {
    const int tid = static_cast<int>(threadIdx.x);
    if (tid == 0) count = 0;
    for (int base = 0; base < entries.count; base += kThreads) {
      bool concerned = false;
      if (base + tid < entries.count) {
        const LoraEntry& one = entries[base + tid];
        concerned = one.matrix == matrix && one.row_begin < row_end &&
                    one.row_begin + one.row_count > row_begin;
      }
      const unsigned lanes = __ballot_sync(0xffffffffu, concerned);
      if (tid % 32 == 0) before[tid / 32] = __popc(lanes);
      __syncthreads();
      int at = count + __popc(lanes & ((1u << (tid % 32)) - 1));
      for (int w = 0; w < tid / 32; ++w) at += before[w];
      if (concerned && at < kMostMatching) entry[at] = static_cast<short>(base + tid);
      __syncthreads();
      if (tid == kThreads - 1) count = at + (concerned ? 1 : 0);
    }
    __syncthreads();
  }
};

/// scale * b . z for `Rows` rows of an entry, those of z as they are clamped to it.
template <int Rows>
__device__ inline void entry_deltas(const LoraEntry& entry, const float* ax, int o, int first_row,
                                    float (&deltas)[Rows]) {
  const float* b = entry.b + static_cast<long long>(o) * entry.rank;
  const float* z[Rows];
#pragma unroll
  for (int i = 0; i < Rows; ++i) {
    deltas[i] = 0.0f;
    const int row = min(max(first_row + i - entry.row_begin, 0), entry.row_count - 1);
    z[i] = ax + entry.ax_begin + static_cast<long long>(row) * entry.rank;
  }
  int r = 0;
  if (entry.rank % 4 == 0) {
    for (; r < entry.rank; r += 4) {
      const float4 four = *reinterpret_cast<const float4*>(b + r);
#pragma unroll
      for (int i = 0; i < Rows; ++i) {
        deltas[i] = fmaf(four.x, z[i][r], deltas[i]);
        deltas[i] = fmaf(four.y, z[i][r + 1], deltas[i]);
        deltas[i] = fmaf(four.z, z[i][r + 2], deltas[i]);
        deltas[i] = fmaf(four.w, z[i][r + 3], deltas[i]);
      }
    }
  }
  for (; r < entry.rank; ++r)
#pragma unroll
    for (int i = 0; i < Rows; ++i) deltas[i] = fmaf(b[r], z[i][r], deltas[i]);
#pragma unroll
  for (float& delta : deltas) delta *= entry.scale;
}

/// Output o of rows [first_row, first_row + Rows) of a matrix. Beyond the last row: anything.
template <int Rows>
__device__ inline void finished(const Deltas& deltas, const Matching& matching, int matrix, int o,
                                int first_row, float (&sums)[Rows]) {
  const float* bias = deltas.of.bias[matrix];
  const int out_features = deltas.of.rows[matrix];
  const float* out = deltas.of.out[matrix] + static_cast<long long>(first_row) * out_features + o;
  float y[Rows];
#pragma unroll
  for (int i = 0; i < Rows; ++i) {
    y[i] = first_row + i < deltas.rows ? out[static_cast<long long>(i) * out_features] : 0.0f;
    sums[i] = bias ? y[i] + bias[o] : y[i];
  }
  const bool all = matching.count > kMostMatching;  // too many to note: look at each again
  for (int j = 0; j < (all ? deltas.entries.count : matching.count); ++j) {
    const LoraEntry& entry = deltas.entries[all ? j : matching.entry[j]];
    if (entry.matrix != matrix) continue;
    float added[Rows];
    entry_deltas(entry, deltas.ax, o, first_row, added);
#pragma unroll
    for (int i = 0; i < Rows; ++i) {
      const int row = first_row + i - entry.row_begin;
      if (row < 0 || row >= entry.row_count) continue;
      if (entry.multiplier) {
        const float multiplier = entry.multiplier[o];
        added[i] = (multiplier - 1.0f) * y[i] + multiplier * added[i];
      }
      sums[i] += added[i];
    }
  }
}

}  // namespace bobby::cuda
