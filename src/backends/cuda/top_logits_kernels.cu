#include "backends/cuda/launch.cuh"
#include "backends/cuda/top_logits.h"

namespace bobby::cuda {
namespace {

constexpr int kThreads = 256;

// The logits of this block's slice of its row.
struct Slice {
  __device__ Slice(const float* logits, int cols) : row(logits + blockIdx.y * (long long)cols) {
    const int each = (cols + kTopSlices - 1) / kTopSlices;
    first = static_cast<int>(blockIdx.x) * each;
    end = min(first + each, cols);
  }
  const float* row;
  int first;
  int end;
};

__global__ void largest_kernel(const float* logits, int cols, TopRow* out) {
  __shared__ float shared[kThreads / 32];
  allow_next();
  begin();
  const Slice slice(logits, cols);
  float largest = -INFINITY;
  int bad = 0;
  for (int i = slice.first + static_cast<int>(threadIdx.x); i < slice.end; i += kThreads) {
    bad |= !isfinite(slice.row[i]);
    largest = fmaxf(largest, slice.row[i]);
  }
  bad = __syncthreads_or(bad);
  largest = warp_max(largest);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = largest;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (const float other : shared) largest = fmaxf(largest, other);
  TopRow& to = out[blockIdx.y];
  to.largest[blockIdx.x] = largest;
  to.bad[blockIdx.x] = bad;
  if (blockIdx.x == 0) to.count = 0;
}

__global__ void collect_kernel(const float* logits, int cols, TopRow* out) {
  __shared__ float shared[32];
  allow_next();
  begin();
  const Slice slice(logits, cols);
  TopRow& to = out[blockIdx.y];
  float largest = to.largest[0];
  for (int i = 1; i < kTopSlices; ++i) largest = fmaxf(largest, to.largest[i]);
  const float floor = largest - kTopDepth;
  float sum = 0.0f;
  for (int i = slice.first + static_cast<int>(threadIdx.x); i < slice.end; i += kThreads) {
    const float logit = slice.row[i];
    sum += expf(logit - largest);
    if (logit >= floor) {
      const int place = atomicAdd(&to.count, 1);
      if (place < kTopTokens) {
        to.tokens[place] = i;
        to.logits[place] = logit;
      }
    }
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) to.sum_exp[blockIdx.x] = sum;
}

}  // namespace

void top_logits(const float* logits, int rows, int cols, TopRow* out, cudaStream_t stream) {
  const dim3 grid(kTopSlices, static_cast<unsigned>(rows));
  launch(largest_kernel, grid, kThreads, 0, stream, logits, cols, out);
  launch(collect_kernel, grid, kThreads, 0, stream, logits, cols, out);
}

}  // namespace bobby::cuda
