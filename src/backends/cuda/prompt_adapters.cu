// Adapters on the rows of a prompt. A: a block eight rows of x and eight of A, which pass through
// shared memory, a warp two rows times four. B of gate and up: with SwiGLU.

#include "backends/cuda/finish.cuh"
#include "backends/cuda/orders.cuh"

namespace bobby::cuda {
namespace {

constexpr int kRanks = 8;      // of a block
constexpr int kWarpRanks = 4;  // of a warp
constexpr int kWarpRows = 2;   // of x, a warp
constexpr int kBlockRows = kWarps / (kRanks / kWarpRanks) * kWarpRows;
constexpr int kColumns = 512;  // of A in a stage
constexpr int kStages = 3;
constexpr int kSteps = kColumns / 128;  // of a lane's four columns

/// Columns [first, first + kColumns) of eight rows of A on their way; what does not exist is zero.
__device__ void fetch(float (*stage)[kColumns], const LoraEntry& entry, int first_rank, int first) {
  constexpr int kPieces = kRanks * kColumns / 4;
  for (int i = static_cast<int>(threadIdx.x); i < kPieces; i += kThreads) {
    const int r = i / (kColumns / 4);
    const int column = i % (kColumns / 4) * 4;
    const bool there = first_rank + r < entry.rank && first + column < entry.in_features;
    const float* from =
        entry.a +
        (there ? static_cast<long long>(first_rank + r) * entry.in_features + first + column : 0);
    const auto to = static_cast<unsigned>(__cvta_generic_to_shared(&stage[r][column]));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                 "r"(there ? 16 : 0)
                 : "memory");
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Rows whose columns are a multiple of four. Lane l sums the columns 4 l .. 4 l + 3, 128 further,
/// and so on, in order; then warp_sum().
__global__ void __launch_bounds__(kThreads)
    prompt_a_kernel(const __grid_constant__ LoraEntries entries, const float* x, float* ax) {
  extern __shared__ __align__(16) float memory[];
  allow_next();
  const LoraEntry& entry = entries[static_cast<int>(blockIdx.y)];
  const int block_row = static_cast<int>(blockIdx.x) * kBlockRows;
  const int first_rank = static_cast<int>(blockIdx.z) * kRanks;
  if (!entry.prompt || block_row >= entry.row_count || first_rank >= entry.rank ||
      entry.in_features % 4 != 0)
    return begin();
  auto* stages = reinterpret_cast<float(*)[kRanks][kColumns]>(memory);
  const int cols = entry.in_features;
  const int rounds = (cols + kColumns - 1) / kColumns;
  for (int i = 0; i < kStages - 1; ++i) fetch(stages[i], entry, first_rank, i * kColumns);
  begin();  // A is under way while x is still being made
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int ranks = warp % (kRanks / kWarpRanks) * kWarpRanks;
  const int first_row = block_row + warp / (kRanks / kWarpRanks) * kWarpRows;
  const float* from[kWarpRows];
#pragma unroll
  for (int i = 0; i < kWarpRows; ++i)
    from[i] =
        x +
        static_cast<long long>(entry.row_begin + min(first_row + i, entry.row_count - 1)) * cols;
  float sums[kWarpRanks][kWarpRows] = {};
  for (int round = 0; round < rounds; ++round) {
    float4 of_x[kSteps][kWarpRows];
#pragma unroll
    for (int s = 0; s < kSteps; ++s)
#pragma unroll
      for (int i = 0; i < kWarpRows; ++i) {
        const int column = round * kColumns + s * 128 + lane * 4;
        if (column < cols) of_x[s][i] = *reinterpret_cast<const float4*>(from[i] + column);
      }
    asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 2) : "memory");
    __syncthreads();  // this round's A is there, and the stage before it is free
    fetch(stages[(round + kStages - 1) % kStages], entry, first_rank,
          (round + kStages - 1) * kColumns);
    const auto& stage = stages[round % kStages];
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      if (round * kColumns + s * 128 + lane * 4 >= cols) break;
#pragma unroll
      for (int r = 0; r < kWarpRanks; ++r) {
        const float4 of_a = *reinterpret_cast<const float4*>(&stage[ranks + r][s * 128 + lane * 4]);
#pragma unroll
        for (int i = 0; i < kWarpRows; ++i) {
          sums[r][i] = fmaf(of_a.x, of_x[s][i].x, sums[r][i]);
          sums[r][i] = fmaf(of_a.y, of_x[s][i].y, sums[r][i]);
          sums[r][i] = fmaf(of_a.z, of_x[s][i].z, sums[r][i]);
          sums[r][i] = fmaf(of_a.w, of_x[s][i].w, sums[r][i]);
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kWarpRanks; ++r)
#pragma unroll
    for (int i = 0; i < kWarpRows; ++i) {
      const float sum = warp_sum(sums[r][i]);
      const int rank = first_rank + ranks + r;
      const int row = first_row + i;
      if (lane == 0 && rank < entry.rank && row < entry.row_count)
        ax[entry.ax_begin + static_cast<long long>(row) * entry.rank + rank] = sum;
    }
}

/// Any rows: a warp a row, lane l the columns l, l + 32, ...
__global__ void __launch_bounds__(kThreads)
    odd_a_kernel(const __grid_constant__ LoraEntries entries, const float* x, float* ax) {
  allow_next();
  begin();
  const LoraEntry& entry = entries[static_cast<int>(blockIdx.y)];
  const int row = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int cols = entry.in_features;
  if (!entry.prompt || row >= entry.row_count || cols % 4 == 0) return;
  const float* from = x + static_cast<long long>(entry.row_begin + row) * cols;
  for (int r = 0; r < entry.rank; ++r) {
    const float* a = entry.a + static_cast<long long>(r) * cols;
    float sum = 0.0f;
    for (int i = lane; i < cols; i += 32) sum = fmaf(a[i], from[i], sum);
    sum = warp_sum(sum);
    if (lane == 0) ax[entry.ax_begin + static_cast<long long>(row) * entry.rank + r] = sum;
  }
}

/// out = silu(gate) * up, both with their deltas: a thread a column of eight rows.
__global__ void __launch_bounds__(kThreads)
    gated_deltas_kernel(const __grid_constant__ Deltas deltas, float* out) {
  constexpr int kRows = 8;
  __shared__ Matching matching[2];
  allow_next();
  begin();
  const int first_row = static_cast<int>(blockIdx.y) * kRows;
  const int cols = deltas.of.rows[0];
  const int o = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  for (int matrix = 0; matrix < 2; ++matrix)
    matching[matrix].find(deltas.entries, matrix, first_row, first_row + kRows);
  if (o >= cols) return;
  float gates[kRows], ups[kRows];
  finished<kRows>(deltas, matching[0], 0, o, first_row, gates);
  finished<kRows>(deltas, matching[1], 1, o, first_row, ups);
  const long long at = static_cast<long long>(first_row) * cols + o;
#pragma unroll
  for (int i = 0; i < kRows; ++i)
    if (first_row + i < deltas.rows)
      out[at + static_cast<long long>(i) * cols] = silu(gates[i]) * ups[i];
}

}  // namespace

void lora_a_prompts(const LoraEntries& entries, int max_rank, int max_rows, bool odd,
                    const float* x, float* ax, cudaStream_t stream) {
  constexpr std::size_t kShared = sizeof(float) * kStages * kRanks * kColumns;
  static const bool once = [] {
    cudaFuncSetAttribute(prompt_a_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared);
    return true;
  }();
  (void)once;
  const auto count = static_cast<unsigned>(entries.count);
  launch(prompt_a_kernel,
         dim3(blocks_for(max_rows, kBlockRows), count, blocks_for(max_rank, kRanks)), kThreads,
         kShared, stream, entries, x, ax);
  if (odd)
    launch(odd_a_kernel, dim3(blocks_for(max_rows, kWarps), count), kThreads, 0, stream, entries, x,
           ax);
}

void gate_deltas(const Deltas& deltas, float* out, cudaStream_t stream) {
  launch(gated_deltas_kernel,
         dim3(blocks_for(deltas.of.rows[0], kThreads), blocks_for(deltas.rows, 8)), kThreads, 0,
         stream, deltas, out);
}

}  // namespace bobby::cuda
