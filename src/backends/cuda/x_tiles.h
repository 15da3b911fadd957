#pragma once

// Rows of x as a warpgroup's products read them: rounded, in tiles of one group of 64 columns,
// swizzled as tensor_core.cuh says.

#include <cuda_runtime.h>

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
  /// [rows / 128, groups, 8, 4, 2, 2]: sum of a group's rounded, scaled numbers, of row
  /// 16 i + 8 j + 2 t + k of the tile at [i, t, j, k].
  float* sums = nullptr;
  float* factors = nullptr;  ///< [rows]: takes a scaled number back
};

inline constexpr int kHalfTileRows = 128;

/// Columns of ByteTiles for `rows` rows of x.
constexpr int byte_tile_columns(int rows) {
  return rows <= 16 ? 16 : rows <= 32 ? 32 : 64;
}

void to_byte_tiles(const float* x, int rows, int cols, ByteTiles to, cudaStream_t stream);
void to_half_tiles(const float* x, int rows, int cols, HalfTiles to, cudaStream_t stream);

}  // namespace bobby::cuda
