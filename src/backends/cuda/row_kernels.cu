#include "backends/cuda/launch.cuh"
#include "backends/cuda/row_kernels.h"

namespace bobby::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kNormThreads = 1024;
constexpr int kNormHeld = 8;  // numbers that a thread keeps between the two passes

__global__ void rms_norm_kernel(const float* x, const float* weight, float eps, float* out,
                                int cols) {
  __shared__ float shared[32];
  allow_next();
  float weights[kNormHeld];  // fetched while x is still being made
#pragma unroll
  for (int j = 0; j < kNormHeld; ++j) {
    const int i = static_cast<int>(threadIdx.x) + j * kNormThreads;
    weights[j] = i < cols ? weight[i] : 0.0f;
  }
  begin();
  const float* in = x + static_cast<long long>(blockIdx.x) * cols;
  float* to = out + static_cast<long long>(blockIdx.x) * cols;
  float held[kNormHeld];
  float squares = 0.0f;
#pragma unroll
  for (int j = 0; j < kNormHeld; ++j) {
    const int i = static_cast<int>(threadIdx.x) + j * kNormThreads;
    held[j] = i < cols ? in[i] : 0.0f;
  }
#pragma unroll
  for (int j = 0; j < kNormHeld; ++j) squares = fmaf(held[j], held[j], squares);
  const int rest = static_cast<int>(threadIdx.x) + kNormHeld * kNormThreads;
  for (int i = rest; i < cols; i += kNormThreads) squares = fmaf(in[i], in[i], squares);
  const float mean = block_sum(squares, shared) / static_cast<float>(cols);
  const float factor = 1.0f / sqrtf(mean + eps);
#pragma unroll
  for (int j = 0; j < kNormHeld; ++j) {
    const int i = static_cast<int>(threadIdx.x) + j * kNormThreads;
    if (i < cols) to[i] = held[j] * factor * weights[j];
  }
  for (int i = rest; i < cols; i += kNormThreads) to[i] = in[i] * factor * weight[i];
}

__global__ void swiglu_kernel(const float* gate, const float* up, float* out, long long count) {
  allow_next();
  begin();
  const long long i = static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const float g = gate[i];
  out[i] = g / (1.0f + expf(-g)) * up[i];
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
