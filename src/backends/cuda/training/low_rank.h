#pragma once

// What a low-rank pair needs besides the products of tensor cores, in fp32: few columns against
// many. Sums of gradients are taken a chunk of a sequence at a time, chunks by position, so that
// each sequence's part is the same wherever it stands.

#include <cstdint>
#include <cuda_runtime.h>
#include <span>

#include "backends/cuda/training/tables.h"

namespace bobby::cuda {

inline constexpr int kMostPairs = 3;

/// out [rows, rank] = scale * x [rows, cols] b^T, b [rank, cols].
struct NarrowJob {
  const float* x = nullptr;
  const float* b = nullptr;
  float* out = nullptr;
  int cols = 0;
  int rank = 0;
  float scale = 1.0f;
};
void narrow_products(std::span<const NarrowJob> jobs, int rows, cudaStream_t stream);

/// sum [rank, cols] += low^T x, sequence by sequence: low [rows, rank], x [rows, cols].
struct GradientJob {
  const float* low = nullptr;
  const float* x = nullptr;
  float* sum = nullptr;
  float* parts = nullptr;  ///< scratch: [chunks, rank, cols]
  int cols = 0;
  int rank = 0;
};
void add_gradients(std::span<const GradientJob> jobs, const SequenceTable& sequences,
                   cudaStream_t stream);

/// DoRA's backward: multiplier_gradient [cols] += sums over rows of gradient * unscaled, sequence
/// by sequence, and gradient *= multiplier. parts: [chunks, cols].
void multiplier_backward(float* gradient, const float* unscaled, const float* multiplier,
                         float* multiplier_gradient, float* parts, int cols,
                         const SequenceTable& sequences, cudaStream_t stream);

/// How dropout() draws.
struct DropoutDraw {
  std::uint64_t key = 0;
  std::uint32_t threshold = 0;  ///< kept where the random word is at least this
  float factor = 1.0f;
};
DropoutDraw dropout_draw(float rate, std::uint64_t key);

/// out = x where it is kept, times the factor, else 0.
void drop(const float* x, const DropoutDraw& draw, float* out, int cols,
          const SequenceTable& sequences, cudaStream_t stream);

/// out += dropped(low [rows, rank] a [rank, cols]).
void add_dropped(const float* low, const float* a, int rank, const DropoutDraw& draw, float* out,
                 int cols, const SequenceTable& sequences, cudaStream_t stream);

/// norms [outs] of the rows of w [outs, cols] + scale * (a^T b)^T for rows [first, first + outs) of
/// the whole; a [rank, cols], b [rank, all_outs]; a null: of w alone.
struct RowNorms {
  const float* w = nullptr;
  const float* a = nullptr;
  const float* b = nullptr;
  float* norms = nullptr;
  int rank = 0;
  int outs = 0;
  int all_outs = 0;
  int first = 0;
  int cols = 0;
  float scale = 1.0f;
};
void row_norms(const RowNorms& args, cudaStream_t stream);

}  // namespace bobby::cuda
