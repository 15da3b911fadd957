#include "backends/cuda/deltas.cuh"
#include "backends/cuda/gated_kernels.h"
#include "backends/cuda/x_tiles.cuh"

namespace bobby::cuda {
namespace {

constexpr int kRows = 4;  // of a warp: B of the adapters comes from the first cache for three
static_assert(kRows <= kWarps);

/// A warp a group, lane l the columns l and l + 32.
template <bool kAdapted>
__global__ void __launch_bounds__(kThreads)
    gated_kernel(const __grid_constant__ GatedArgs args, const __grid_constant__ Deltas deltas) {
  __shared__ RowEntries found[kRows];
  allow_next();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first_row = static_cast<int>(blockIdx.y) * kRows;
  if (kAdapted) {
    if (warp < kRows) found[warp].find(deltas.entries, first_row + warp, lane);
    __syncthreads();
  }
  begin();
  const int group = static_cast<int>(blockIdx.x) * kWarps + warp;
  if (group >= args.cols / kTileGroup) return;
  const int column = group * kTileGroup + lane;
  float gates[kRows][2], ups[kRows][2];
#pragma unroll
  for (int r = 0; r < kRows; ++r)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const long long row = min(first_row + r, args.rows - 1);
      gates[r][i] = args.gate[row * args.cols + column + 32 * i];
      ups[r][i] = args.up[row * args.cols + column + 32 * i];
    }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int row = first_row + r;
    if (row >= args.rows) return;
    float values[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float gate = gates[r][i];
      float up = ups[r][i];
      if constexpr (kAdapted) {
        gate = with_deltas(deltas, found[r], 0, row, column + 32 * i, gate);
        up = with_deltas(deltas, found[r], 1, row, column + 32 * i, up);
      }
      values[i] = silu(gate) * up;
      args.out[static_cast<long long>(row) * args.cols + column + 32 * i] = values[i];
    }
    if (any_columns(args.tiles)) put_group(args.tiles, row, group, args.cols, lane, values);
  }
}

}  // namespace

void load_gated_kernels() {
  load_kernel(gated_kernel<false>);
  load_kernel(gated_kernel<true>);
}

void gate_rows(const GatedArgs& args, const Deltas& deltas, cudaStream_t stream) {
  const dim3 grid(blocks_for(args.cols / kTileGroup, kWarps), blocks_for(args.rows, kRows));
  launch(deltas.of.count > 0 ? gated_kernel<true> : gated_kernel<false>, grid, kThreads, 0, stream,
         args, deltas);
}

}  // namespace bobby::cuda
