#include "backends/cuda/orders.cuh"
#include "backends/cuda/row_kernels.h"

namespace bobby::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kHeld = 2;  // stretches of 4096 numbers that a block keeps between the two passes

/// The order of sums is norm_squares()'s: the whole-step kernel has the same.
__global__ void __launch_bounds__(kNormThreads)
    rms_norm_kernel(const float* x, const float* weight, float eps, float* out, int cols) {
  __shared__ float shared[32];
  allow_next();
  const int first = static_cast<int>(threadIdx.x) * 8;
  float weights[kHeld][8];  // fetched while x is still being made
#pragma unroll
  for (int s = 0; s < kHeld; ++s) load_eight_of(weight, s * kNormStretch + first, cols, weights[s]);
  begin();
  const float* in = x + static_cast<long long>(blockIdx.x) * cols;
  float* to = out + static_cast<long long>(blockIdx.x) * cols;
  float held[kHeld][8];
#pragma unroll
  for (int s = 0; s < kHeld; ++s) load_eight_of(in, s * kNormStretch + first, cols, held[s]);
  float squares = 0.0f;
#pragma unroll
  for (int s = 0; s < kHeld; ++s) squares = norm_squares(held[s], squares);
  for (int at = kHeld * kNormStretch + first; at < cols; at += kNormStretch) {
    float values[8];
    load_eight_of(in, at, cols, values);
    squares = norm_squares(values, squares);
  }
  const float factor = norm_factor(block_sum(squares, shared), cols, eps);
#pragma unroll
  for (int s = 0; s < kHeld; ++s) {
    const int at = s * kNormStretch + first;
#pragma unroll
    for (int d = 0; d < 8; ++d)
      if (at + d < cols) to[at + d] = held[s][d] * factor * weights[s][d];
  }
  for (int at = kHeld * kNormStretch + first; at < cols; at += kNormStretch)
    for (int d = 0; d < 8 && at + d < cols; ++d) to[at + d] = in[at + d] * factor * weight[at + d];
}

__global__ void swiglu_kernel(const float* gate, const float* up, float* out, long long count) {
  allow_next();
  begin();
  const long long i = static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const float g = gate[i];
  out[i] = silu(g) * up[i];
}

__global__ void add_kernel(float* x, const float* y, long long count) {
  allow_next();
  begin();
  const long long i = static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) x[i] += y[i];
}

__global__ void select_rows_kernel(const float* x, const int* rows, int cols, float* out) {
  allow_next();
  begin();
  const int column = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (column >= cols) return;
  const long long from = rows[blockIdx.y];
  out[static_cast<long long>(blockIdx.y) * cols + column] = x[from * cols + column];
}

}  // namespace

void rms_norm(const float* x, const float* weight, float eps, float* out, int rows, int cols,
              cudaStream_t stream) {
  launch(rms_norm_kernel, dim3(static_cast<unsigned>(rows)), kNormThreads, 0, stream, x, weight,
         eps, out, cols);
}

void swiglu(const float* gate, const float* up, float* out, long long count, cudaStream_t stream) {
  launch(swiglu_kernel, dim3(blocks_for(count, kThreads)), kThreads, 0, stream, gate, up, out,
         count);
}

void add(float* x, const float* y, long long count, cudaStream_t stream) {
  launch(add_kernel, dim3(blocks_for(count, kThreads)), kThreads, 0, stream, x, y, count);
}

void select_rows(const float* x, const int* rows, int count, int cols, float* out,
                 cudaStream_t stream) {
  launch(select_rows_kernel, dim3(blocks_for(cols, kThreads), static_cast<unsigned>(count)),
         kThreads, 0, stream, x, rows, cols, out);
}

}  // namespace bobby::cuda
