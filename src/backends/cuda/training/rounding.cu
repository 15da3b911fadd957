#include <algorithm>

#include "backends/cuda/launch.cuh"
#include "backends/cuda/training/instructions.cuh"
#include "backends/cuda/training/rounding.h"

namespace bobby::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPiece = 8;  // columns of a thread

/// The place of a thread's piece, where pieces of a row of blocks follow each other.
struct PiecePlace {
  int row;
  int col;
  unsigned char* at;

  __device__ PiecePlace(const Blocks& blocks, long long index) {
    const int pieces = blocks.col_blocks * (kBlock / kPiece);
    row = static_cast<int>(index / pieces);
    const int piece = static_cast<int>(index % pieces);
    col = piece * kPiece;
    const long long block = static_cast<long long>(row / kBlock) * blocks.col_blocks + piece / 8;
    at = blocks.data + block * kBlockBytes + piece_offset(row % kBlock, piece % 8);
  }
};

__device__ inline uint4 pack_piece(const float (&x)[kPiece]) {
  return make_uint4(pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]),
                    pack_bf16(x[6], x[7]));
}

long long pieces_of(const Blocks& blocks) {
  return static_cast<long long>(blocks.row_blocks) * kBlock * blocks.col_blocks * (kBlock / kPiece);
}

__global__ void __launch_bounds__(kThreads)
    round_kernel(const float* x, const int* row_numbers, int rows, int cols, Blocks to,
                 long long pieces) {
  allow_next();
  begin();
  const long long index = static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= pieces) return;
  const PiecePlace place(to, index);
  float values[kPiece] = {};
  if (place.row < rows) {
    const int row = row_numbers ? row_numbers[place.row] : place.row;
    const float* from = x + static_cast<long long>(row) * cols + place.col;
    if (cols % 4 == 0) {
#pragma unroll
      for (int i = 0; i < kPiece; i += 4)
        if (place.col + i < cols) {
          const float4 four = *reinterpret_cast<const float4*>(from + i);
          values[i] = four.x;
          values[i + 1] = four.y;
          values[i + 2] = four.z;
          values[i + 3] = four.w;
        }
    } else {
#pragma unroll
      for (int i = 0; i < kPiece; ++i)
        if (place.col + i < cols) values[i] = from[i];
    }
  }
  *reinterpret_cast<uint4*>(place.at) = pack_piece(values);
}

struct SplitJobs {
  SplitJob each[kMostSplitJobs];
};

/// Number `index` of 3 * rank along the depth: the nearest bf16, or what that leaves.
__device__ inline float split_part(const SplitJob& job, int depth, int other) {
  if (depth >= 3 * job.rank || other >= job.count) return 0.0f;
  const int third = depth / job.rank;
  const int index = depth % job.rank;
  const bool by_rows = job.kind == SplitJob::Kind::kRows;
  const float value = job.from[by_rows ? static_cast<long long>(other) * job.rank + index
                                       : static_cast<long long>(index) * job.count + other];
  if (third != (by_rows ? 1 : 2)) return value;
  const float high = __uint_as_float(pack_bf16(value, 0.0f) << 16);
  return value - high;
}

__global__ void __launch_bounds__(kThreads) split_kernel(const __grid_constant__ SplitJobs jobs) {
  allow_next();
  begin();
  const SplitJob& job = jobs.each[blockIdx.y];
  const long long pieces =
      static_cast<long long>(job.to.row_blocks) * kBlock * job.to.col_blocks * (kBlock / kPiece);
  const long long index = static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= pieces) return;
  const PiecePlace place(job.to, index);
  const bool depth_rows = job.kind == SplitJob::Kind::kDepth;
  float values[kPiece];
#pragma unroll
  for (int i = 0; i < kPiece; ++i)
    values[i] = depth_rows ? split_part(job, place.row, place.col + i)
                           : split_part(job, place.col + i, place.row);
  *reinterpret_cast<uint4*>(place.at) = pack_piece(values);
}

}  // namespace

void round_to_blocks(const float* x, const int* row_numbers, int rows, int cols, Blocks to,
                     cudaStream_t stream) {
  const long long pieces = pieces_of(to);
  launch(round_kernel, dim3(blocks_for(pieces, kThreads)), kThreads, 0, stream, x, row_numbers,
         rows, cols, to, pieces);
}

void split_to_blocks(std::span<const SplitJob> jobs, cudaStream_t stream) {
  if (jobs.empty()) return;
  SplitJobs each = {};
  std::copy(jobs.begin(), jobs.end(), each.each);
  long long most = 0;
  for (const SplitJob& job : jobs) most = std::max(most, pieces_of(job.to));
  launch(split_kernel, dim3(blocks_for(most, kThreads), static_cast<unsigned>(jobs.size())),
         kThreads, 0, stream, each);
}

}  // namespace bobby::cuda
