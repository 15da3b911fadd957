#pragma once

// Operations that see a row, a head of a row or a number at a time.

#include <cuda_runtime.h>

#include "backends/cuda/training/blocks.h"
#include "backends/cuda/training/tables.h"

namespace bobby::cuda {

void training_norm(const float* x, const float* weight, float eps, float* out, int rows, int cols,
                   cudaStream_t stream);
/// Adds to x_gradient.
void training_norm_backward(const float* x, const float* weight, float eps,
                            const float* out_gradient, float* x_gradient, int rows, int cols,
                            cudaStream_t stream);

void training_add(const float* x, const float* y, float* out, long long count, cudaStream_t stream);
void training_swiglu(const float* gate, const float* up, float* out, long long count,
                     cudaStream_t stream);
void training_swiglu_backward(const float* gate, const float* up, const float* out_gradient,
                              float* gate_gradient, float* up_gradient, long long count,
                              cudaStream_t stream);

/// angles [positions, 2, half]: cosines and sines of position * inv_freq, that product in fp32.
void make_angles(const float* inv_freq, int half, int positions, float* angles,
                 cudaStream_t stream);

inline constexpr int kLargestHalf = 64;  ///< half a head, of training_rope()

/// One of q and k.
struct RopeSide {
  const float* projected = nullptr;  ///< [rows, heads, 2 * half]
  const float* norm = nullptr;
  const float* rotated_gradient = nullptr;  ///< backward
  float* to = nullptr;                      ///< forward: rotated; backward: projected's gradient
  int heads = 0;
};
struct RopeJob {
  RopeSide sides[2];
  const float* angles = nullptr;
  int half = 0;
  float eps = 0.0f;
  bool backward = false;
};
void training_rope(const RopeJob& job, const SequenceTable& sequences, cudaStream_t stream);

/// to[rows[i]] = from[i], rows of `cols` numbers.
void scatter_rows(const float* from, const int* rows, int count, int cols, float* to,
                  cudaStream_t stream);

/// Logits [rows, vocab] of rows `first` on to their losses and, where gradient.data is given, the
/// gradients of weight * loss in blocks.
struct LossJob {
  const float* logits = nullptr;
  const int* targets = nullptr;  ///< [rows]
  const float* weights = nullptr;
  double* losses = nullptr;
  Blocks gradient;
  int rows = 0;
  int vocab = 0;
};
void cross_entropy_rows(const LossJob& job, cudaStream_t stream);

}  // namespace bobby::cuda
