#pragma once

// Rows of x as a warpgroup's products read them: rounded, in tiles of one group of 64 columns,
// swizzled as tensor_core.cuh says.

#include <cuda_runtime.h>

#include "backends/cuda/linear_kernels.h"
#include "backends/cuda/tiled_kernels.h"

namespace bobby::cuda {

/// q15 for 9..64 rows: [groups, 2, columns] tile rows of 64 bytes: hi, then lo.
struct ByteTiles {
  unsigned char* bytes = nullptr;
  float2* scales = nullptr;  ///< [groups, columns]: the group's scale, scale * sum of the integers
  int columns = 0;           ///< rows of x rounded up: 16, 32 or 64; what lies beyond is not set
};

/// Rounded to halves: [rows / 128, groups, 128] tile rows of 64 halves. A row is scaled by a power
/// of two, so that its largest number lies in [2^14, 2^15); every other four columns by 2^-4 more.
struct HalfTiles {
  unsigned char* halves = nullptr;
  /// The sums of the groups' rounded, scaled numbers, times 2^-7, each as three numbers of the
  /// type of the weights' biases that add up to it: [rows / 128, groups / 16, 128] tile rows of 64,
  /// the first numbers of 16 groups, then the second and the third. Past the last group: zero.
  unsigned char* sums = nullptr;
  float* factors = nullptr;  ///< [rows]: takes a scaled number back
};

inline constexpr int kHalfTileRows = 128;
inline constexpr int kSumGroups = 16;  // of a tile of sums
inline constexpr float kSumScale = 0x1p-7f;

/// Columns of ByteTiles for `rows` rows of x.
constexpr int byte_tile_columns(int rows) {
  return rows <= 16 ? 16 : rows <= 32 ? 32 : 64;
}

/// Where a kernel that makes rows of x puts them rounded for the product that follows: one of
/// these, or none.
struct RowTiles {
  TiledX tiled;
  ByteTiles bytes;
  HalfTiles halves;
  Element element = Element::kBF16;  ///< of the sums of halves
};

/// silu(gate) * up on its way into tiles, row for row: x is written, too.
struct Gated {
  const float* gate = nullptr;  ///< null: x is given
  const float* up = nullptr;
};

/// So that the first step does not wait for the driver.
void load_x_tiles_kernels();
void to_byte_tiles(const float* x, int rows, int cols, ByteTiles to, cudaStream_t stream);
void to_half_tiles(float* x, Gated gated, int rows, int cols, Element element, HalfTiles to,
                   cudaStream_t stream);

}  // namespace bobby::cuda
