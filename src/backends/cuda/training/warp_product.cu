// Products on any device's warps: tiles of 64 rows and 64 columns, four warps of 32 by 32.

#include "backends/cuda/launch.cuh"
#include "backends/cuda/training/instructions.cuh"
#include "backends/cuda/training/product.cuh"

namespace bobby::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kPieces = kBlockBytes / 16;

/// A block of a matrix to shared memory, as it is.
__device__ void fetch(const unsigned char* from, uint4* to) {
  for (int i = static_cast<int>(threadIdx.x); i < kPieces; i += kThreads)
    to[i] = reinterpret_cast<const uint4*>(from)[i];
}

/// One block of depth: the warp's 32 by 32 sums.
template <bool kDepthRows>
__device__ void multiply_blocks(const unsigned char* a, const unsigned char* b, int first_row,
                                int first_col, float (&sums)[2][4][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int part = lane / 8;
#pragma unroll
  for (int k = 0; k < kBlock; k += 16) {
    unsigned left[2][4];
    unsigned right[2][4];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int row = first_row + i * 16 + part % 2 * 8 + lane % 8;
      load_matrices(left[i], a + piece_offset(row, k / 8 + part / 2));
      if constexpr (kDepthRows) {
        const int depth = k + part % 2 * 8 + lane % 8;
        load_transposed(right[i], b + piece_offset(depth, first_col / 8 + i * 2 + part / 2));
      } else {
        const int col = first_col + i * 16 + part / 2 * 8 + lane % 8;
        load_matrices(right[i], b + piece_offset(col, k / 8 + part % 2));
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        mma_bf16(sums[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
  }
}

template <bool kDepthRows>
__global__ void __launch_bounds__(kThreads)
    warp_product_kernel(const __grid_constant__ ProductArgs args) {
  __shared__ uint4 a_block[kPieces];
  __shared__ uint4 b_block[kPieces];
  allow_next();
  begin();
  const ProductOutput& output = output_of(args, static_cast<int>(blockIdx.x));
  const int col_block = static_cast<int>(blockIdx.x) - output.tiles_before;
  const auto row_block = static_cast<long long>(blockIdx.y);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first_row = warp / 2 * 32;
  const int first_col = warp % 2 * 32;
  float sums[2][4][4] = {};
  for (int t = output.first_term; t < output.first_term + output.terms; ++t) {
    const ProductTerm& term = args.terms[t];
    const unsigned char* a = term.a + row_block * term.depth_blocks * kBlockBytes;
    const long long b_row = static_cast<long long>(kDepthRows ? 1 : term.depth_blocks);
    const long long b_deeper = static_cast<long long>(kDepthRows ? output.col_blocks : 1);
    const unsigned char* b = term.b + col_block * b_row * kBlockBytes;
    for (int k = 0; k < term.depth_blocks; ++k) {
      __syncthreads();
      fetch(a + static_cast<long long>(k) * kBlockBytes, a_block);
      fetch(b + k * b_deeper * kBlockBytes, b_block);
      __syncthreads();
      multiply_blocks<kDepthRows>(reinterpret_cast<const unsigned char*>(a_block),
                                  reinterpret_cast<const unsigned char*>(b_block), first_row,
                                  first_col, sums);
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = static_cast<int>(row_block) * kBlock + first_row + i * 16 + lane / 4;
      const int col = col_block * kBlock + first_col + j * 8 + lane % 4 * 2;
      write_pair(output, args.rows, row, col, sums[i][j][0], sums[i][j][1]);
      write_pair(output, args.rows, row + 8, col, sums[i][j][2], sums[i][j][3]);
    }
}

}  // namespace

void product_on_warps(ProductArgs args, cudaStream_t stream) {
  int column_tiles = 0;
  for (int i = 0; i < args.output_count; ++i) {
    args.outputs[i].tiles_before = column_tiles;
    column_tiles += args.outputs[i].col_blocks;
  }
  const dim3 grid(static_cast<unsigned>(column_tiles), blocks_for(args.rows, kBlock));
  if (args.depth_rows) return launch(warp_product_kernel<true>, grid, kThreads, 0, stream, args);
  launch(warp_product_kernel<false>, grid, kThreads, 0, stream, args);
}

}  // namespace bobby::cuda
