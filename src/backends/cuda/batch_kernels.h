#pragma once

// Products of weights in tile order with many rows of x, on a Hopper's warpgroups.

#include <cuda_runtime.h>

#include "backends/cuda/linear_kernels.h"
#include "backends/cuda/x_tiles.h"

namespace bobby::cuda {

/// Memory in which blocks that share a tile's K add their parts.
struct Partials {
  float* sums = nullptr;
  int* arrived = nullptr;  ///< zero between launches
};
inline constexpr int kMostPartialTiles = 4096;
inline constexpr long long kPartialFloats = 1ll << 23;

/// Blocks that have made their dots with rows of A, counted over all launches.
struct DotsDone {
  unsigned* count = nullptr;  ///< on the device
  unsigned expected = 0;      ///< after the last launch
};

/// Adapters of a product of 9..64 rows.
struct BatchDeltas {
  InnerDeltas of;
  unsigned* done = nullptr;
  unsigned target = 0;  ///< what `done` comes to with this launch
  int blocks = 0;       ///< the first ones make the dots: those that are placed in any case
};

/// Whether the current device has these kernels: compute capability 9.0.
bool has_warpgroups();

/// So that the first step does not wait for the driver.
void load_batch_kernels(Element element);
void load_prefill_kernels(Element element);

/// 1..64 rows, in q15 and in the order of sums of tile_order.h: the bits of any number of rows.
/// `deltas`: null, or adapters, z of which is made here.
void batch_product(const Matrices& matrices, ByteTiles x, int rows, Partials partials,
                   const InnerDeltas* deltas, DotsDone& done, cudaStream_t stream);

/// z of a prompt's adapters, before its product. False: not for so many of them.
bool prompt_dots(const InnerDeltas& deltas, int rows, int cols, Partials partials,
                 cudaStream_t stream);
void load_prompt_dots();

/// Any number of rows of prompts, x in halves. `deltas`: null, or adapters, z of which is there.
void prefill_product(const Matrices& matrices, HalfTiles x, int rows, const InnerDeltas* deltas,
                     cudaStream_t stream);

}  // namespace bobby::cuda
