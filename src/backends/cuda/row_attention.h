#pragma once

// attention() for rows of decode with heads of 128: see head_attention.cuh for the order of sums.

#include <cuda_runtime.h>

#include "backends/cuda/attention_kernels.h"
#include "backends/cuda/x_tiles.h"

namespace bobby::cuda {

struct RowAttention {
  AttendArgs attend;
  RopeArgs rope;                ///< q null: q stands rotated, and all positions in the cache
  RowTiles tiles;               ///< of attend.out: not halves
  unsigned* arrived = nullptr;  ///< [row_count, heads], zero between launches
};

/// Whether a cache has this kernel.
inline bool has_row_attention(const KvLayer& kv) {
  return span_of(kv) == kHeadChunk;
}
void load_row_attention(const KvLayer& kv);
/// With `rope`: every row is a sequence's only one; q and k are read as linear() left them, with
/// what `deltas` (of q, k and v) add, and the new position is put into the cache.
void attend_rows(const RowAttention& args, const Deltas& deltas, const KvLayer& kv,
                 const Places& places, cudaStream_t stream);

}  // namespace bobby::cuda
