#pragma once

// The ring of shared memory between a block's producing warp and its two warpgroups: stages of a
// few groups of 64 columns, each with the records of eight tiles of weights and a tile of x.

#include "backends/cuda/tensor_core.cuh"
#include "backends/cuda/tiled.cuh"

namespace bobby::cuda {

inline constexpr int kRingTiles = 8;  // of 16 rows of weights: a warp each
inline constexpr int kRingWarps = kRingTiles;
// A third warpgroup fills the ring, one thread a warp: two tiles of weights each, and x. It leaves
// its registers to the other two.
inline constexpr int kRingThreads = kRingWarps * 32 + 128;
inline constexpr int kProducers = 4;

#ifdef BOBBY_WGMMA

/// Where in the ring one side stands.
template <int Stages>
struct RingPlace {
  int stage = 0;
  unsigned phase = 0;
  __device__ void next() {
    if (++stage == Stages) {
      stage = 0;
      phase ^= 1;
    }
  }
};

template <int Stages>
struct RingBarriers {
  std::uint64_t full[Stages];
  std::uint64_t empty[Stages];

  __device__ void init() {
    for (int i = 0; i < Stages; ++i) {
      barrier_init(&full[i], 1);
      barrier_init(&empty[i], kRingTiles);
    }
    barrier_init_done();
  }
};

/// The first record of a tile of any of the matrices; null past the last.
__device__ inline const unsigned char* tile_records(const Matrices& matrices, int tile) {
  if (tile >= matrices.tiles) return nullptr;
  const Matrix& matrix = matrix_of(matrices, tile);
  return static_cast<const unsigned char*>(matrix.weight) +
         static_cast<long long>(tile - matrix.tiles_before) * (matrices.cols / kTileGroup) *
             kTileRecordBytes;
}

#endif

}  // namespace bobby::cuda
