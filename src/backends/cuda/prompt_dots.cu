// A x for the rows of one prompt and all adapters of a product: a tile is 64 rows of x times a few
// rows of A, of whichever entries, over a few chunks of 256 columns; the block that comes last for
// 64 rows adds the tiles. A dot's order of sums depends on the number of columns alone.

#include <algorithm>

#include "backends/cuda/adapted_outputs.cuh"
#include "backends/cuda/batch_kernels.h"
#include "backends/cuda/linear_kernels.cuh"

namespace bobby::cuda {
namespace {

constexpr int kRows = 64;         // of x
constexpr int kThreadRows = 4;    // r, r + 16, ... of a thread
constexpr int kColumnGroups = 4;  // rows of A g, g + 4, ... of a thread
constexpr int kParts = 4;         // of a chunk's columns, by threads
constexpr int kChunkColumns = 256;
constexpr int kPitch = kChunkColumns + 4;  // so that no two rows of eight share a bank
constexpr int kMostSplits = 24;

constexpr int shared_bytes(int most) {
  return (kRows + most) * kPitch * static_cast<int>(sizeof(float));
}

struct Dots {
  InnerDeltas deltas;
  Partials partials;
  int rows;
  int cols;
  int chunks;  // of a block
};

/// A row of A, and where z of row 0 of x would be.
struct Dot {
  const float* a = nullptr;
  long long z = 0;
  int rank = 0;
  int row_begin = 0;
  int row_end = 0;

  /// The `at`-th of those that concern rows [begin, end).
  __device__ void find(const LoraEntries& entries, int at, int begin, int end) {
    for (int i = 0; i < entries.count; ++i) {
      const LoraEntry& entry = entries[i];
      if (entry.row_begin >= end || entry.row_begin + entry.row_count <= begin) continue;
      if (at >= entry.rank) {
        at -= entry.rank;
        continue;
      }
      a = entry.a + static_cast<long long>(at) * entry.in_features;
      z = entry.ax_begin + at - static_cast<long long>(entry.row_begin) * entry.rank;
      rank = entry.rank;
      row_begin = entry.row_begin;
      row_end = entry.row_begin + entry.row_count;
      return;
    }
  }
};

/// Four numbers on their way; zeros, if they do not exist.
__device__ inline void fetch_four(float* to, const float* from, bool there) {
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from),
               "r"(there ? 16 : 0)
               : "memory");
}

template <int kOwn>
__device__ void fetch_a(const Dots& args, const Dot* dots, int chunk, float* to) {
  for (int i = static_cast<int>(threadIdx.x); i < kOwn * kColumnGroups * kChunkColumns / 4;
       i += kThreads) {
    const int dot = i / (kChunkColumns / 4);
    const int at = i % (kChunkColumns / 4) * 4;
    const int column = chunk * kChunkColumns + at;
    const bool there = dots[dot].a != nullptr && column < args.cols;
    fetch_four(to + dot * kPitch + at, there ? dots[dot].a + column : args.deltas.x, there);
  }
}

__device__ inline void fetch_x(const Dots& args, int first_row, int chunk, float* to) {
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kChunkColumns / 4; i += kThreads) {
    const int row = i / (kChunkColumns / 4);
    const int at = i % (kChunkColumns / 4) * 4;
    const int column = chunk * kChunkColumns + at;
    const long long x_row = min(first_row + row, args.rows - 1);
    const bool there = column < args.cols;
    fetch_four(to + row * kPitch + at, args.deltas.x + x_row * args.cols + (there ? column : 0),
               there);
  }
}

__device__ inline void arrived_here() {
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncthreads();
}

/// `kOwn` rows of A a thread.
template <int kOwn>
__global__ void __launch_bounds__(kThreads, 2)
    prompt_dots_kernel(const __grid_constant__ Dots args) {
  constexpr int kAll = kOwn * kColumnGroups;
  extern __shared__ __align__(16) float memory[];
  __shared__ Dot dots[kAll];
  __shared__ bool last;
  allow_next();
  float* of_x = memory;
  float* of_a = memory + kRows * kPitch;
  const int tid = static_cast<int>(threadIdx.x);
  const int first_row = static_cast<int>(blockIdx.x) * kRows;
  const int first_chunk = static_cast<int>(blockIdx.y) * args.chunks;
  if (tid < kAll) {
    Dot own;
    own.find(args.deltas.entries, static_cast<int>(blockIdx.z) * kAll + tid, first_row,
             min(first_row + kRows, args.rows));
    dots[tid] = own;
  }
  __syncthreads();
  fetch_a<kOwn>(args, dots, first_chunk, of_a);  // A is under way while x is still being made
  begin();
  const int row = tid % 16;
  const int group = tid / 16 % kColumnGroups;
  const int part = tid / (16 * kColumnGroups);
  float sums[kThreadRows][kOwn] = {};
  for (int chunk = first_chunk; chunk < first_chunk + args.chunks; ++chunk) {
    if (chunk > first_chunk) fetch_a<kOwn>(args, dots, chunk, of_a);
    fetch_x(args, first_row, chunk, of_x);
    arrived_here();
    const float* x = of_x + row * kPitch + part * (kChunkColumns / kParts);
    const float* a = of_a + group * kPitch + part * (kChunkColumns / kParts);
#pragma unroll 2
    for (int k = 0; k < kChunkColumns / kParts; k += 4) {
      float4 x_fours[kThreadRows];
#pragma unroll
      for (int i = 0; i < kThreadRows; ++i)
        x_fours[i] = *reinterpret_cast<const float4*>(x + i * 16 * kPitch + k);
#pragma unroll
      for (int j = 0; j < kOwn; ++j) {
        const float4 a_four = *reinterpret_cast<const float4*>(a + j * kColumnGroups * kPitch + k);
#pragma unroll
        for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
          for (int d = 0; d < 4; ++d)
            sums[i][j] = fmaf(four_of(a_four, d), four_of(x_fours[i], d), sums[i][j]);
      }
    }
    __syncthreads();
  }
  // Parts are added through shared memory: [part][row][dot].
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
    for (int j = 0; j < kOwn; ++j)
      memory[(part * kRows + row + i * 16) * kAll + group + j * kColumnGroups] = sums[i][j];
  __syncthreads();
  constexpr int kFours = kRows * kAll / 4;
  const auto* parts = reinterpret_cast<const float4*>(memory);
  const int splits = static_cast<int>(gridDim.y);
  const int tile = static_cast<int>(blockIdx.z * gridDim.x + blockIdx.x);
  auto* partials = reinterpret_cast<float4*>(args.partials.sums) +
                   static_cast<long long>(tile) * splits * kFours;
  const auto plus = [](const float4& a, const float4& b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
  };
  for (int i = tid; i < kFours; i += kThreads)
    partials[static_cast<long long>(blockIdx.y) * kFours + i] =
        plus(plus(parts[i], parts[kFours + i]), plus(parts[2 * kFours + i], parts[3 * kFours + i]));
  __threadfence();
  __syncthreads();
  if (tid == 0) {
    last = atomicAdd(&args.partials.arrived[tile], 1) == splits - 1;
    if (last) args.partials.arrived[tile] = 0;
    __threadfence();
  }
  __syncthreads();
  if (!last) return;
  for (int i = tid; i < kFours; i += kThreads) {
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll
    for (int first = 0; first < kMostSplits; first += 8) {
      if (first >= splits) break;
      float4 some[8];
#pragma unroll
      for (int s = 0; s < 8; ++s)
        some[s] =
            __ldcg(partials + static_cast<long long>(min(first + s, splits - 1)) * kFours + i);
#pragma unroll
      for (int s = 0; s < 8; ++s)
        if (first + s < splits) sum = plus(sum, some[s]);
    }
    const int x_row = first_row + i / (kAll / 4);
#pragma unroll
    for (int d = 0; d < 4; ++d) {
      const Dot& dot = dots[i % (kAll / 4) * 4 + d];
      if (dot.a && x_row >= dot.row_begin && x_row < dot.row_end)
        args.deltas.ax[dot.z + static_cast<long long>(x_row) * dot.rank] = four_of(sum, d);
    }
  }
}

template <int kOwn>
bool launch_dots(Dots args, int splits, cudaStream_t stream) {
  constexpr int kAll = kOwn * kColumnGroups;
  static const bool once = [] {
    cudaFuncSetAttribute(prompt_dots_kernel<kOwn>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         shared_bytes(kAll));
    return true;
  }();
  (void)once;
  const dim3 grid(blocks_for(args.rows, kRows), static_cast<unsigned>(splits),
                  blocks_for(args.deltas.all_ranks, kAll));
  const long long tiles = static_cast<long long>(grid.x) * grid.z;
  if (tiles > kMostPartialTiles || tiles * splits * kRows * kAll > kPartialFloats) return false;
  launch(prompt_dots_kernel<kOwn>, grid, kThreads, shared_bytes(kAll), stream, args);
  return true;
}

}  // namespace

void load_prompt_dots() {
  load_kernel(prompt_dots_kernel<2>);
  load_kernel(prompt_dots_kernel<4>);
  load_kernel(prompt_dots_kernel<6>);
  load_kernel(prompt_dots_kernel<8>);
}

bool prompt_dots(const InnerDeltas& deltas, int rows, int cols, Partials partials,
                 cudaStream_t stream) {
  if (cols % 4 != 0) return false;
  const int chunks = (cols + kChunkColumns - 1) / kChunkColumns;
  const int each = std::max((chunks + kMostSplits - 1) / kMostSplits, chunks > 16 ? 2 : 1);
  const Dots args{deltas, partials, rows, cols, each};
  const int splits = (chunks + each - 1) / each;
  if (deltas.all_ranks <= 8) return launch_dots<2>(args, splits, stream);
  if (deltas.all_ranks <= 16) return launch_dots<4>(args, splits, stream);
  if (deltas.all_ranks <= 24) return launch_dots<6>(args, splits, stream);
  return launch_dots<8>(args, splits, stream);
}

}  // namespace bobby::cuda
