#pragma once

// Adapters in a product of 9 to 64 rows. A warpgroup beside those of the product multiplies rows of
// A by rows of x meanwhile, in the order of sums of lora_a(): the launch's dots are dealt over its
// first blocks, and a counter says when all are there, which is long before the first output is.
// Outputs get their deltas where they are written.
//
// For a product kernel: a thread of the dots' warpgroup calls make_dots(); the others wait once, by
// await_rows(), for the table of rows, and call add_deltas() and finish_rest() about the writing of
// a tile's outputs. Blocks wait for the first ones of the launch, one a multiprocessor.

#include "backends/cuda/adapted_outputs.cuh"
#include "backends/cuda/batch_kernels.h"
#include "backends/cuda/orders.cuh"

namespace bobby::cuda {

inline constexpr int kDotThreads = 128;
inline constexpr int kDotWarps = kDotThreads / 32;
inline constexpr int kDotRanks = 2;  // rows of A that a warpgroup multiplies at once

/// What a row's only entry of a matrix is, in shared memory.
struct RowDelta {
  const float* b;
  float scale;
  int z;      // where in ax
  int count;  // of the row's entries; kMultiplied more for each with a multiplier
  short rank;
  short entry;
  static constexpr int kMultiplied = 1 << 16;
};

template <int Columns>
struct DotsMemory {
  RowDelta rows[kMatrices][Columns];
  float sums[2][16][kDotRanks * 4];  // of the warps of lora_a()'s order; two dots' at a time
};

__device__ inline void meet_dots() {
  __syncwarp();
  asm volatile("bar.sync 2, 128;" ::: "memory");
}
/// The table of rows is there: the dots' threads and Readers others.
template <int Readers>
__device__ inline void rows_are_there() {
  __threadfence_block();
  __syncwarp();
  asm volatile("bar.arrive 3, %0;" ::"n"(Readers + kDotThreads) : "memory");
}
template <int Readers>
__device__ inline void await_rows() {
  asm volatile("bar.sync 3, %0;" ::"n"(Readers + kDotThreads) : "memory");
}

template <int Columns>
__device__ void fill_rows(const InnerDeltas& deltas, DotsMemory<Columns>& memory, int tid) {
  RowDelta* rows = memory.rows[0];
  const RowDelta none{deltas.entries[0].b, 0.0f, 0, 0, 0, 0};  // what can be read, for nothing
  for (int i = tid; i < kMatrices * Columns; i += kDotThreads) rows[i] = none;
  meet_dots();
  // Many entries have few rows: a thread each, and few of them a warp.
  const bool few = deltas.entries.count <= LoraEntries::kInline;
  const int step = few ? 32 : 1;
  for (int i = few ? tid / 32 : tid; i < deltas.entries.count; i += kDotThreads / step) {
    const LoraEntry& entry = deltas.entries[i];
    RowDelta own{entry.b, entry.scale, 0, 0, static_cast<short>(entry.rank), static_cast<short>(i)};
    for (int row = few ? tid % 32 : 0; row < entry.row_count; row += step) {
      RowDelta& to = rows[entry.matrix * Columns + entry.row_begin + row];
      const int before = atomicAdd(&to.count, 1 + (entry.multiplier ? RowDelta::kMultiplied : 0));
      if (before != 0) continue;
      to.b = own.b;
      to.scale = own.scale;
      to.z = entry.ax_begin + row * entry.rank;
      to.rank = own.rank;
      to.entry = own.entry;
    }
  }
}

/// Two rows of A times `Rows` rows of x: a warp four of the order's 16 warps.
template <int Rows>
__device__ void make_dot(const LoraEntry& entry, const float* x, int rank, int row, int tid,
                         float (*sums)[kDotRanks * 4]) {
  constexpr int kWidth = Rows > 2 ? 4 : 8;  // numbers of each row at a time
  const int lane = tid % 32;
  const int cols = entry.in_features;
  const float* a = entry.a + static_cast<long long>(rank) * cols;
  const int second = rank + 1 < entry.rank ? cols : 0;
  const float* from = x + static_cast<long long>(entry.row_begin + row) * cols;
  const int last = min(Rows, entry.row_count - row) - 1;
#pragma unroll 1
  for (int part = tid / 32; part < kNormThreads / 32; part += kDotWarps) {
    float dots[kDotRanks][Rows] = {};
#pragma unroll 1
    for (int at = part * 256 + lane * 8; at < cols; at += kNormStretch)
#pragma unroll
      for (int h = 0; h < 8; h += kWidth) {
        float4 of_a[kDotRanks][kWidth / 4], of_x[Rows][kWidth / 4];
#pragma unroll
        for (int k = 0; k < kWidth / 4; ++k) {
#pragma unroll
          for (int r = 0; r < kDotRanks; ++r)
            of_a[r][k] = __ldg(reinterpret_cast<const float4*>(a + r * second + at + h) + k);
#pragma unroll
          for (int i = 0; i < Rows; ++i)
            of_x[i][k] =
                __ldcg(reinterpret_cast<const float4*>(from + min(i, last) * cols + at + h) + k);
        }
#pragma unroll
        for (int k = 0; k < kWidth / 4; ++k)
#pragma unroll
          for (int d = 0; d < 4; ++d)
#pragma unroll
            for (int r = 0; r < kDotRanks; ++r)
#pragma unroll
              for (int i = 0; i < Rows; ++i)
                dots[r][i] = fmaf(four_of(of_a[r][k], d), four_of(of_x[i][k], d), dots[r][i]);
      }
#pragma unroll
    for (int r = 0; r < kDotRanks; ++r)
#pragma unroll
      for (int i = 0; i < Rows; ++i) {
        const float sum = warp_sum(dots[r][i]);
        if (lane == r * 4 + i) sums[part][lane] = sum;
      }
  }
}

/// The tree over the order's 16 warps, as block_sum() has it.
__device__ inline float tree_of(const float (*sums)[kDotRanks * 4], int at) {
  float parts[kNormThreads / 32];
#pragma unroll
  for (int w = 0; w < kNormThreads / 32; ++w) parts[w] = sums[w][at] + 0.0f;
#pragma unroll
  for (int half = kNormThreads / 64; half > 0; half /= 2)
#pragma unroll
    for (int w = 0; w < half; ++w) parts[w] += parts[w + half];
  return parts[0];
}

/// Calls visit(entry, rank, row) for this block's share: two rows of A, `Rows` of x.
template <int Rows, typename Visit>
__device__ void each_dot(const InnerDeltas& deltas, int blocks, int lane, const Visit& visit) {
  const int row_blocks = (deltas.most_rows + Rows - 1) / Rows;
  const int each = (deltas.most_rank + kDotRanks - 1) / kDotRanks * row_blocks;
  const int all = deltas.entries.count * each;
  // 32 at a time are looked at, as not every entry has as many as the largest.
#pragma unroll 1
  for (int base = static_cast<int>(blockIdx.x); base < all; base += 32 * blocks) {
    const int own = base + lane * blocks;
    bool there = false;
    if (own < all) {
      const LoraEntry& entry = deltas.entries[own / each];
      there = own % each / row_blocks * kDotRanks < entry.rank &&
              own % each % row_blocks * Rows < entry.row_count;
    }
    unsigned found = __ballot_sync(0xffffffffu, there);
#pragma unroll 1
    while (found != 0) {
      const int task = base + (__ffs(static_cast<int>(found)) - 1) * blocks;
      found &= found - 1;
      visit(deltas.entries[task / each], task % each / row_blocks * kDotRanks,
            task % each % row_blocks * Rows);
    }
  }
}

/// What the warpgroup of the dots does; `tid` is a thread's number among its 128.
template <int Columns, int Readers>
__device__ void make_dots(const BatchDeltas& args, DotsMemory<Columns>& memory, int tid) {
  constexpr int kRows = Columns == 16 ? 1 : 4;
  const InnerDeltas& deltas = args.of;
  const int lane = tid % 32;
  fill_rows(deltas, memory, tid);
  rows_are_there<Readers>();
  if (static_cast<int>(blockIdx.x) >= args.blocks) return begin();
  // A is under way while x is still being made.
  each_dot<kRows>(deltas, args.blocks, lane, [&](const LoraEntry& entry, int rank, int) {
    const float* a = entry.a + static_cast<long long>(rank) * entry.in_features;
    const int numbers = min(kDotRanks, entry.rank - rank) * entry.in_features;
    for (int at = tid * 32; at < numbers; at += kDotThreads * 32)
      asm volatile("prefetch.global.L2 [%0];" ::"l"(a + at));
  });
  begin();
  int parity = 0;
  each_dot<kRows>(deltas, args.blocks, lane, [&](const LoraEntry& entry, int rank, int row) {
    auto* sums = memory.sums[parity];
    parity ^= 1;
    if (kRows == 1 || entry.row_count - row == 1)
      make_dot<1>(entry, deltas.x, rank, row, tid, sums);
    else
      make_dot<kRows>(entry, deltas.x, rank, row, tid, sums);
    meet_dots();
    const int r = tid / 4;
    if (r < min(kDotRanks, entry.rank - rank) && tid % 4 < min(kRows, entry.row_count - row))
      deltas.ax[entry.ax_begin + (row + tid % 4) * entry.rank + rank + r] = tree_of(sums, tid);
  });
  __threadfence();
  meet_dots();
  if (tid == 0) {
    __threadfence();
    atomicAdd(args.done, 1u);
  }
}

/// By a whole warp: until all dots of the launch can be seen.
__device__ inline void await_dots(const BatchDeltas& args) {
  if (threadIdx.x % 32 == 0) {
    unsigned done;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(done) : "l"(args.done) : "memory");
    } while (static_cast<int>(done - args.target) < 0);
  }
  __syncwarp();
}

/// Rows with one entry, each another: a few of them at a time. The rest stay as they are; a bit for
/// each of those is returned.
template <int Columns>
__device__ unsigned add_row_deltas(const InnerDeltas& deltas, const RowDelta* table, int o,
                                   int rows, float (&sums)[Columns / 2]) {
  constexpr int kRows = Columns == 16 ? 2 : 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  unsigned rest = 0;
#pragma unroll
  for (int j = 0; j < Columns / 4; j += kRows) {
    const float* b[kRows];
    const float* z[kRows];
    int ranks[kRows];
    int most = 0;
    float added[kRows][2] = {};
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int row = (j + i) / 2 * 8 + t * 2 + i % 2;
      const RowDelta& own = table[min(row, rows - 1)];
      const int count = own.count % RowDelta::kMultiplied;
      const bool here = count == 1 && own.rank % 4 == 0;
      if (count > 0 && !here && row < rows) rest |= 1u << (j + i);
      ranks[i] = here ? own.rank : 0;
      b[i] = own.b + static_cast<long long>(o) * ranks[i];
      z[i] = deltas.ax + (here ? own.z : 0);
      most = max(most, ranks[i]);
    }
#pragma unroll 1
    for (int r = 0; r < most; r += 8) {
      float4 of_b[kRows][2][2], of_z[kRows][2];
#pragma unroll
      for (int i = 0; i < kRows; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int at = max(min(r + 4 * h, ranks[i] - 4), 0);
          of_z[i][h] = load_four<true>(z[i] + at);
#pragma unroll
          for (int k = 0; k < 2; ++k)
            of_b[i][h][k] = *reinterpret_cast<const float4*>(b[i] + 8 * k * ranks[i] + at);
        }
#pragma unroll
      for (int i = 0; i < kRows; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h)
#pragma unroll
          for (int k = 0; k < 2; ++k) {
            float delta = added[i][k];
#pragma unroll
            for (int d = 0; d < 4; ++d)
              delta = fmaf(four_of(of_b[i][h][k], d), four_of(of_z[i][h], d), delta);
            if (r + 4 * h < ranks[i]) added[i][k] = delta;
          }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (ranks[i] == 0) continue;
      const RowDelta& own = table[min((j + i) / 2 * 8 + t * 2 + i % 2, rows - 1)];
      const float* multiplier =
          own.count >= RowDelta::kMultiplied ? deltas.entries[own.entry].multiplier : nullptr;
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        float& sum = sums[(j + i) / 2 * 4 + k * 2 + i % 2];
        sum = plus_delta(sum, sum, added[i][k], own.scale, multiplier, o + 8 * k);
      }
    }
  }
  return rest;
}

/// A lane's outputs o and o + 8 of a matrix with their deltas. What is left to finish_rest() is
/// returned.
template <int Columns>
__device__ unsigned add_deltas(const BatchDeltas& args, const DotsMemory<Columns>& memory,
                               int matrix, int o, int rows, float (&sums)[Columns / 2]) {
  const InnerDeltas& deltas = args.of;
  const int first = deltas.first[matrix];
  const int count = deltas.first[matrix + 1] - first;
  if (count == 0) return 0;
  await_dots(args);
  if (count > 1) return add_row_deltas<Columns>(deltas, memory.rows[matrix], o, rows, sums);
  add_entry<true>(deltas.entries[first], deltas.ax, o, 0, sums);
  return 0;
}

/// Those of a lane's outputs, already written at `out`, that add_deltas() has left.
__device__ inline void finish_rest(const InnerDeltas& deltas, int matrix, int o, unsigned rest,
                                   float* out, int out_features) {
#pragma unroll 1
  for (; rest != 0; rest &= rest - 1) {
    const int i = __ffs(static_cast<int>(rest)) - 1;
    const int row = i / 2 * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + i % 2;
    float* at = out + static_cast<long long>(row) * out_features;
    finish_output<true>(deltas, matrix, row, o, at);
    finish_output<true>(deltas, matrix, row, o + 8, at + 8);
  }
}

}  // namespace bobby::cuda
