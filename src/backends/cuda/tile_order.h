#pragma once

// Tile order: how 4-bit affine weights in groups of 64 lie on the device, and the one order in
// which every decode kernel (1 to 64 rows of x) sums their products. docs/lab/cuda.md says why.
//
// A weight [rows, cols] is rows / 16 tiles, one after the other; a tile is cols / 64 records, one
// for each group of 64 columns of its 16 rows:
//   512 bytes  levels: 32 lanes of four words. With quad = lane / 4 and t = lane % 4, word j of a
//              lane is the file's own word (eight columns, the first in the lowest nibble) of row
//              quad + 8 * (j % 2), columns 8 * t + 32 * (j / 2) and the seven after them.
//    64 bytes  for quad 0 .. 7: scale and bias of row quad, scale and bias of row quad + 8, as the
//              file's 16 bits.
// Masked, the low nibbles of words 0 and 1 are the registers a0 and a1 of an m16n8k32 fragment and
// the high nibbles a2 and a3; words 2 and 3 make the fragment of the other half of the group. The
// order of the columns is then that of tile_byte(), in which x is stored; the sums are exact.
//
// Order of sums, for an output y = sum over groups g of s_g * x_g * I_g + b_g * X_g, where I_g is
// the exact integer product of the levels and of q15(x), x_g the scale of q15 and X_g = x_g * (sum
// of the 64 integers), rounded once:
//   part p of kParts takes the groups g with g / 4 % 16 == p, in ascending order, each with
//     sum = fmaf(s_g * x_g, float(I_g), sum);  sum = fmaf(b_g, X_g, sum);
//   then parts[p] += parts[p + 8] for p < 8, += parts[p + 4] for p < 4, + 2, + 1: y = parts[0].

#include <cstddef>
#include <cstdint>

#include "tensor/weight_view.h"

namespace bobby::cuda {

inline constexpr int kTileRows = 16;
inline constexpr int kTileGroup = 64;                          ///< columns of a record
inline constexpr int kTileLevelBytes = 512;                    ///< of a record
inline constexpr int kTileRecordBytes = kTileLevelBytes + 64;  ///< levels, then scales and biases
inline constexpr int kTileParts = 16;                          ///< partial sums of an output
inline constexpr int kTilePartGroups = 4;                      ///< consecutive groups of a part

/// Bytes of the 16 rows of one tile.
constexpr std::size_t tile_bytes(std::int64_t cols) {
  return static_cast<std::size_t>(cols / kTileGroup) * kTileRecordBytes;
}

/// Where column c of a group stands among the 64 bytes of its hi (or lo) halves of q15: the 16
/// bytes from 16 * t on are what lane t of a fragment multiplies by.
#ifdef __CUDACC__
__host__ __device__
#endif
    constexpr int
    tile_byte(int c) {
  return c % 32 / 8 * 16 + c / 32 * 8 + c % 2 * 4 + c % 8 / 2;
}

/// Whether a weight is kept in tile order: affine, 4 bits, groups of 64, 16-bit scales, whole
/// tiles.
bool has_tile_order(const WeightView& view);

/// The definition above, on the host: `view` into `out`, rows / 16 * tile_bytes(cols) bytes.
void to_tile_order(const WeightView& view, std::byte* out);

}  // namespace bobby::cuda
