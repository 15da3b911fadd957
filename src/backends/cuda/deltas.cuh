#pragma once

// What adapters and biases add to an output, for the kernel that reads it: the order of sums is
// finish()'s.

#include "backends/cuda/linear_kernels.h"

namespace bobby::cuda {

/// The entries of one row, in their order, in shared memory.
struct RowEntries {
  static constexpr int kMost = 32;
  short entry[kMost];
  int count;

  /// By one warp. Reads no activation, and so may come before begin().
  __device__ void find(const LoraEntries& entries, int row, int lane) {
    int found = 0;
    for (int base = 0; base < entries.count; base += 32) {
      bool concerned = false;
      if (base + lane < entries.count) {
        const LoraEntry& one = entries[base + lane];
        concerned = row >= one.row_begin && row < one.row_begin + one.row_count;
      }
      const unsigned lanes = __ballot_sync(0xffffffffu, concerned);
      const int at = found + __popc(lanes & ((1u << lane) - 1));
      if (concerned && at < kMost) entry[at] = static_cast<short>(base + lane);
      found += __popc(lanes);
    }
    if (lane == 0) count = found;
  }
};

/// What an entry adds to output o of a row, whose product is y.
__device__ inline float entry_delta(const LoraEntry& entry, const float* ax, int row, int o,
                                    float y) {
  const float* b = entry.b + static_cast<long long>(o) * entry.rank;
  const float* z = ax + entry.ax_begin + static_cast<long long>(row - entry.row_begin) * entry.rank;
  float delta = 0.0f;
  if (entry.rank % 4 == 0) {
#pragma unroll 2
    for (int r = 0; r < entry.rank; r += 4) {
      const float4 of_b = *reinterpret_cast<const float4*>(b + r);
      const float4 of_z = *reinterpret_cast<const float4*>(z + r);
      delta = fmaf(of_b.x, of_z.x, delta);
      delta = fmaf(of_b.y, of_z.y, delta);
      delta = fmaf(of_b.z, of_z.z, delta);
      delta = fmaf(of_b.w, of_z.w, delta);
    }
  } else {
    for (int r = 0; r < entry.rank; ++r) delta = fmaf(b[r], z[r], delta);
  }
  delta *= entry.scale;
  if (entry.multiplier) {
    const float multiplier = entry.multiplier[o];
    delta = (multiplier - 1.0f) * y + multiplier * delta;
  }
  return delta;
}

/// Output o of a row of matrix `matrix`, whose product is y.
__device__ inline float with_deltas(const Deltas& deltas, const RowEntries& found, int matrix,
                                    int row, int o, float y) {
  const float* bias = deltas.of.bias[matrix];
  float sum = bias ? y + bias[o] : y;
  const bool all = found.count > RowEntries::kMost;  // too many to note: look at each again
  const int count = all ? deltas.entries.count : found.count;
  for (int i = 0; i < count; ++i) {
    const LoraEntry& entry = deltas.entries[all ? i : found.entry[i]];
    if (entry.matrix != matrix || row < entry.row_begin || row >= entry.row_begin + entry.row_count)
      continue;
    sum += entry_delta(entry, deltas.ax, row, o, y);
  }
  return sum;
}

}  // namespace bobby::cuda
