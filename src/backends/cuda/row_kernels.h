#pragma once

// The element- and row-wise kernels: norms, SwiGLU, sums, copies.

#include <cuda_runtime.h>

namespace bobby::cuda {

void rms_norm(const float* x, const float* weight, float eps, float* out, int rows, int cols,
              cudaStream_t stream);
void swiglu(const float* gate, const float* up, float* out, long long count, cudaStream_t stream);
void add(float* x, const float* y, long long count, cudaStream_t stream);
void select_rows(const float* x, const int* rows, int count, int cols, float* out,
                 cudaStream_t stream);

}  // namespace bobby::cuda
