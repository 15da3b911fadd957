#pragma once

// Matrices in fp32 to blocks of bf16, which products take.

#include <cuda_runtime.h>
#include <span>

#include "backends/cuda/training/blocks.h"

namespace bobby::cuda {

/// x [rows, cols] to blocks, or, with row_numbers [rows], those rows of x. What the blocks have
/// beyond it becomes zero.
void round_to_blocks(const float* x, const int* row_numbers, int rows, int cols, Blocks to,
                     cudaStream_t stream);

/// Small factors of a low-rank pair in two bf16 each, so that their product has fp32's precision to
/// 16 bits: a b = high(a) high(b) + low(a) high(b) + high(a) low(b), along a depth of 3 * rank.
struct SplitJob {
  enum class Kind : unsigned char {
    kRows,     ///< the left factor [count, rank]: blocks [count, 3 rank] of high, low, high
    kColumns,  ///< the right factor [rank, count]: blocks [count, 3 rank] of high, high, low
    kDepth,    ///< the right factor [rank, count]: blocks [3 rank, count] of high, high, low
  };
  Kind kind = Kind::kRows;
  const float* from = nullptr;
  int rank = 0;
  int count = 0;
  Blocks to;
};

constexpr int split_blocks(std::int64_t rank) {
  return blocks_of(3 * rank);
}

inline constexpr int kMostSplitJobs = 6;
void split_to_blocks(std::span<const SplitJob> jobs, cudaStream_t stream);

}  // namespace bobby::cuda
