#pragma once

// Causal attention within each sequence, and its backward, on tensor cores in bf16: the 64 queries
// of a chunk against tiles of keys from the first on. Sums are in the order of positions, so that a
// sequence's are its own.

#include <cuda_runtime.h>

#include "backends/cuda/training/tables.h"

namespace bobby::cuda {

inline constexpr int kLargestHead = 128;

struct AttentionJob {
  const float* q = nullptr;  ///< [rows, heads * head_dim]
  const float* k = nullptr;  ///< [rows, kv_heads * head_dim]
  const float* v = nullptr;
  float* out = nullptr;
  // Backward alone: the gradients, and scratch of [rows, heads] each.
  const float* out_gradient = nullptr;
  float* q_gradient = nullptr;
  float* k_gradient = nullptr;
  float* v_gradient = nullptr;
  float* normalizers = nullptr;  ///< log of the sum of exponentials
  float* means = nullptr;        ///< sum of out * out_gradient
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;  ///< at most kLargestHead
  float scale = 0.0f;
};
void attention_forward(const AttentionJob& job, const SequenceTable& sequences,
                       cudaStream_t stream);
void attention_backward(const AttentionJob& job, const SequenceTable& sequences,
                        cudaStream_t stream);

}  // namespace bobby::cuda
