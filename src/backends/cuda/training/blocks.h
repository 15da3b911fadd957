#pragma once

// How matrices lie that tensor cores multiply: bf16 in blocks of 64 rows and 64 columns, 8 KB each,
// block (r, c) of a matrix with C columns of blocks at number r * C + c. A row of a block is 128
// bytes, of which the 16-byte piece p stands at place p ^ (row % 8): the 128-byte swizzle of the
// tensor cores, which takes rows of one block after the other as they are, along either side. A
// weight in blocks so serves the forward and the backward. What lies beyond the matrix is zero.

#include <cstddef>
#include <cstdint>

namespace bobby::cuda {

inline constexpr int kBlock = 64;  ///< rows and columns
inline constexpr int kBlockBytes = kBlock * kBlock * 2;
inline constexpr int kTileRows128 = 128;  ///< rows of activations are padded to whole tiles

/// A matrix in blocks, in device memory.
struct Blocks {
  unsigned char* data = nullptr;
  int row_blocks = 0;
  int col_blocks = 0;
};

constexpr int blocks_of(std::int64_t numbers) {
  return static_cast<int>((numbers + kBlock - 1) / kBlock);
}
/// Blocks for rows of activations: whole tiles of a product.
constexpr int row_blocks_of(std::int64_t rows) {
  return static_cast<int>((rows + kTileRows128 - 1) / kTileRows128) * (kTileRows128 / kBlock);
}
constexpr std::size_t block_bytes(std::int64_t row_blocks, std::int64_t col_blocks) {
  return static_cast<std::size_t>(row_blocks * col_blocks) * kBlockBytes;
}

/// Where piece `piece` (8 columns) of row `row` of a block stands in it.
#ifdef __CUDACC__
__host__ __device__
#endif
    constexpr int
    piece_offset(int row, int piece) {
  return row * 128 + (piece ^ (row % 8)) * 16;
}

}  // namespace bobby::cuda
