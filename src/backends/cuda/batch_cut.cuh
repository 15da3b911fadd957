#pragma once

// How a batch's product is cut into units of work: tiles, and parts of K.

#include "backends/cuda/batch_kernels.h"

namespace bobby::cuda {

inline constexpr int kQuarters =
    4;  // of the parts: quarter q has the parts q, q + 8, q + 4, q + 12

/// How a launch cuts its work: whole blocks of eight tiles first, then each cut in `splits` by
/// parts. A block of the grid takes every gridDim.x-th unit.
struct Cut {
  int tile_blocks = 0;
  int whole = 0;
  int splits = 1;  ///< 1, 2, 4 or 8
  __host__ __device__ int units() const { return whole + (tile_blocks - whole) * splits; }
};

#ifdef __CUDACC__
/// One unit: which tiles, and which quarters of the parts.
struct Unit {
  int tile_block;
  int split;
  int splits;
  __device__ Unit(const Cut& cut, int index) {
    const int beyond = index - cut.whole;
    tile_block = beyond < 0 ? index : cut.whole + beyond / cut.splits;
    split = beyond < 0 ? 0 : beyond % cut.splits;
    splits = beyond < 0 ? 1 : cut.splits;
  }
  /// Quarters, or half a one; they come as 0, 2, 1, 3, which is how they are added.
  __device__ int quarter(int i) const {
    const int place = splits == 8 ? split / 2 : split * (kQuarters / splits) + i;
    return place / 2 + place % 2 * 2;
  }
  __device__ int quarters() const { return splits == 8 ? 1 : kQuarters / splits; }
  /// Of a quarter's four parts.
  __device__ int first_part() const { return splits == 8 ? split % 2 * 2 : 0; }
  __device__ int end_part() const { return splits == 8 ? split % 2 * 2 + 2 : 4; }
};

/// Part j of a quarter, in the order in which they are added.
__device__ inline int part_of_quarter(int quarter, int j) {
  return quarter + (j % 2) * 8 + (j / 2) * 4;
}

#endif

/// The cut with the least of the longest block's work, in quarters of a unit.
inline Cut cut_for(int tile_blocks, int places, int most_splits, long long floats_of_tile_block) {
  Cut best;
  long long best_cost = -1;
  for (const int splits : {1, 2, 4, 8})
    for (const int whole : {0, tile_blocks / places * places, tile_blocks}) {
      Cut cut{tile_blocks, whole, splits};
      const int cut_blocks = tile_blocks - whole;
      if (splits == 1 && whole != tile_blocks) continue;
      if (splits > 1 && cut_blocks == 0) continue;
      if (splits > most_splits) continue;
      if (cut_blocks > kMostPartialTiles ||
          cut_blocks * splits * floats_of_tile_block > kPartialFloats)
        continue;
      const int beyond = cut_blocks * splits;
      // A cut costs about a tenth of a unit more: its parts go through memory.
      const long long cost =
          100ll * ((whole + places - 1) / places) +
          (100ll / splits + (splits > 1 ? 10 : 0)) * ((beyond + places - 1) / places);
      if (best_cost < 0 || cost < best_cost) {
        best = cut;
        best_cost = cost;
      }
    }
  return best;
}

}  // namespace bobby::cuda
