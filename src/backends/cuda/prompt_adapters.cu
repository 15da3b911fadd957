// A low-rank pair's A on the rows of a prompt: a warp a row, eight ranks at a time, so that x is
// read once and A from the cache that a block's rows share.

#include "backends/cuda/linear_kernels.cuh"

namespace bobby::cuda {
namespace {

constexpr int kRanks = 8;

__global__ void __launch_bounds__(kThreads)
    prompt_a_kernel(LoraEntries entries, const float* x, float* ax) {
  allow_next();
  begin();
  const LoraEntry& entry = entries[static_cast<int>(blockIdx.y)];
  const int row = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (!entry.prompt || row >= entry.row_count) return;
  const int cols = entry.in_features;
  const float* from = x + static_cast<long long>(entry.row_begin + row) * cols;
  for (int first = 0; first < entry.rank; first += kRanks) {
    float sums[kRanks] = {};
    const float* a[kRanks];
#pragma unroll
    for (int r = 0; r < kRanks; ++r)
      a[r] = entry.a + static_cast<long long>(min(first + r, entry.rank - 1)) * cols;
    if (cols % 4 == 0) {
#pragma unroll 2
      for (int i = lane * 4; i < cols; i += 128) {
        const float4 four = *reinterpret_cast<const float4*>(from + i);
#pragma unroll
        for (int r = 0; r < kRanks; ++r) {
          const float4 of_a = *reinterpret_cast<const float4*>(a[r] + i);
          sums[r] = fmaf(of_a.x, four.x, sums[r]);
          sums[r] = fmaf(of_a.y, four.y, sums[r]);
          sums[r] = fmaf(of_a.z, four.z, sums[r]);
          sums[r] = fmaf(of_a.w, four.w, sums[r]);
        }
      }
    } else {
      for (int i = lane; i < cols; i += 32)
#pragma unroll
        for (int r = 0; r < kRanks; ++r) sums[r] = fmaf(a[r][i], from[i], sums[r]);
    }
#pragma unroll
    for (int r = 0; r < kRanks; ++r) {
      const float sum = warp_sum(sums[r]);
      if (lane == 0 && first + r < entry.rank)
        ax[entry.ax_begin + static_cast<long long>(row) * entry.rank + first + r] = sum;
    }
  }
}

}  // namespace

void lora_a_prompts(const LoraEntries& entries, int max_rows, const float* x, float* ax,
                    cudaStream_t stream) {
  launch(prompt_a_kernel, dim3(blocks_for(max_rows, kWarps), static_cast<unsigned>(entries.count)),
         kThreads, 0, stream, entries, x, ax);
}

}  // namespace bobby::cuda
