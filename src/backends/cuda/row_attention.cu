// A block one row, one chunk of positions and a few heads of q that share a head of the cache: a
// warp 16 positions at a time for all of these heads.

#include <algorithm>

#include "backends/cuda/deltas.cuh"
#include "backends/cuda/head_attention.cuh"
#include "backends/cuda/row_attention.h"
#include "backends/cuda/x_tiles.cuh"

namespace bobby::cuda {
namespace {

constexpr int kSegments = kHeadChunk / kWarpPositions;
constexpr int kMostWarps = 16;
constexpr int kSharedWarps = 8;  // of a block where there are several a multiprocessor

/// Position j of a half warp's eight stands, after sum_positions(), in its lanes 2 j and 2 j + 1.
__device__ int lane_of(int lane, int j) {
  return lane / 16 * 16 + 2 * j;
}

/// half_warp_sum() of eight numbers at once: the same tree, but a lane keeps one sum.
__device__ float sum_positions(const float (&x)[kLanePositions], int lane) {
  float four[4], two[2];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float other = __shfl_xor_sync(0xffffffffu, lane & 8 ? x[i] : x[i + 4], 8);
    four[i] = (lane & 8 ? x[i + 4] : x[i]) + other;
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float other = __shfl_xor_sync(0xffffffffu, lane & 4 ? four[i] : four[i + 2], 4);
    two[i] = (lane & 4 ? four[i + 2] : four[i]) + other;
  }
  const float other = __shfl_xor_sync(0xffffffffu, lane & 2 ? two[0] : two[1], 2);
  const float one = (lane & 2 ? two[1] : two[0]) + other;
  return one + __shfl_xor_sync(0xffffffffu, one, 1);
}

__device__ void load_shared_eight(const float* from, float (&to)[8]) {
  const float4 low = reinterpret_cast<const float4*>(from)[0];
  const float4 high = reinterpret_cast<const float4*>(from)[1];
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

/// What a block's warps have of a chunk, by segments of 16 positions.
template <int Heads>
struct alignas(16) Shared {
  float q[Heads][kHeadDim];
  float staged[Heads + 2][kHeadDim];  // q, k and v with their deltas
  uint4 words[2][16];                 // of the new position: keys, values
  float2 totals[Heads][kSegments];    // the largest score, the sum of weights
  float scales[2];
  RowEntries found;
  int last;
};

/// One segment for some heads: score_positions() and weigh_positions(), a weight computed once and
/// not by every lane.
template <KvFormat Format, int Some>
__device__ void attend_segment(const Positions<Format>& at, const float (*q)[kHeadDim], float scale,
                               int first, int length, int lane, float* outputs, int stride,
                               float2* totals) {
  const int own_position = first + (lane % 16 / 2) * 2 + lane / 16;
  float dots[Some][kLanePositions];
  float numbers[Some][8];
#pragma unroll
  for (int h = 0; h < Some; ++h) load_shared_eight(q[h] + lane % 16 * 8, numbers[h]);
#pragma unroll
  for (int j = 0; j < kLanePositions; ++j) {
#pragma unroll
    for (int h = 0; h < Some; ++h) dots[h][j] = 0.0f;
#pragma unroll
    for (int d = 0; d < 8; ++d) {
      const float cell = at.keys[j][d];
#pragma unroll
      for (int h = 0; h < Some; ++h) dots[h][j] = fmaf(numbers[h][d], cell, dots[h][j]);
    }
  }
  float key_scale = 1.0f;
  if constexpr (Format == KvFormat::kInt8) {
#pragma unroll
    for (int j = 0; j < kLanePositions; ++j)
      if (lane % 16 / 2 == j) key_scale = at.keys[j].scale;
  }
  float weights[Some], most[Some];
#pragma unroll
  for (int h = 0; h < Some; ++h) {
    float dot = sum_positions(dots[h], lane);
    if (Format == KvFormat::kInt8) dot *= key_scale;
    const float score = own_position < length ? dot * scale : -INFINITY;
    float largest = score;
#pragma unroll
    for (const int offset : {2, 4, 8, 16})
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, offset));
    most[h] = largest;
    weights[h] = expf(score - largest);
  }
  float total[Some] = {};
  float sums[Some][8] = {};
#pragma unroll
  for (int j = 0; j < kLanePositions; ++j) {
    float weight[Some];
#pragma unroll
    for (int h = 0; h < Some; ++h)
      weight[h] = __shfl_sync(0xffffffffu, weights[h], lane_of(lane, j));
    if (first + 2 * j + lane / 16 >= length) continue;
#pragma unroll
    for (int h = 0; h < Some; ++h) total[h] += weight[h];
#pragma unroll
    for (int d = 0; d < 8; ++d) {
      float number = at.values[j][d];
      if (Format == KvFormat::kInt8) number *= at.values[j].scale;
#pragma unroll
      for (int h = 0; h < Some; ++h) sums[h][d] = fmaf(weight[h], number, sums[h][d]);
    }
  }
  // The halves of the warp are added, each lane keeping four dimensions.
  const bool upper = lane >= 16;
#pragma unroll
  for (int h = 0; h < Some; ++h) {
    total[h] += __shfl_xor_sync(0xffffffffu, total[h], 16);
    float four[4];
#pragma unroll
    for (int d = 0; d < 4; ++d) {
      const float other = __shfl_xor_sync(0xffffffffu, upper ? sums[h][d] : sums[h][d + 4], 16);
      four[d] = (upper ? sums[h][d + 4] : sums[h][d]) + other;
    }
    *reinterpret_cast<float4*>(outputs + h * stride + lane % 16 * 8 + (upper ? 4 : 0)) =
        make_float4(four[0], four[1], four[2], four[3]);
    if (lane == 0) totals[h * kSegments] = make_float2(most[h], total[h]);
  }
}

/// Which of the block's heads of q come first, and where the row's new position goes.
struct Unit {
  RowPlace place;
  int index;  // of the row in this launch
  int first_head;
  int kv_head;
  int chunk;
  int length;
};

/// q, k and v of a row as linear() left them: q rotated into shared memory, k and v into the cache
/// and into shared memory.
template <KvFormat Format, int Heads>
__device__ void prepare(const RowAttention& args, const Deltas& deltas, const KvLayer& kv,
                        const Places& places, const int* blocks, const Unit& unit,
                        Shared<Heads>& shared) {
  const RopeArgs& rope = args.rope;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
  const int row = unit.place.row;
  // The chunk that has the new position makes k and v, too.
  const int count = unit.chunk == unit.place.position / kHeadChunk ? Heads + 2 : Heads;
  const auto source = [&](int i) -> const float* {  // heads of q, then k, then v
    if (i < Heads)
      return rope.q + (static_cast<long long>(row) * rope.heads + unit.first_head + i) * kHeadDim;
    return (i == Heads ? rope.k : rope.v) +
           (static_cast<long long>(row) * kv.heads + unit.kv_head) * kHeadDim;
  };
  if (deltas.of.count > 0) {
    for (int at = static_cast<int>(threadIdx.x); at < count * kHeadDim;
         at += static_cast<int>(blockDim.x)) {
      const int i = at / kHeadDim;
      const int d = at % kHeadDim;
      const int matrix = i < Heads ? 0 : i - Heads + 1;
      const int head = i < Heads ? unit.first_head + i : unit.kv_head;
      shared.staged[i][d] =
          with_deltas(deltas, shared.found, matrix, row, head * kHeadDim + d, source(i)[d]);
    }
    __syncthreads();
  }
  const float2* angles =
      places.angles + static_cast<long long>(args.attend.row_begin + unit.index) * (kHeadDim / 2);
  for (int i = warp; i < count; i += warps) {
    float x[8];
    if (deltas.of.count > 0)
      load_shared_eight(shared.staged[i] + lane % 16 * 8, x);
    else
      load_eight(source(i) + lane % 16 * 8, x);
    if (i < Heads + 1) {
      const float* norm = i < Heads ? rope.q_norm : rope.k_norm;
      rotate_head(x, norm ? norm + lane % 16 * 8 : nullptr, rope.eps, angles, lane);
    }
    if (i < Heads) {
      if (lane >= 16) continue;
      float4* to = reinterpret_cast<float4*>(shared.q[i] + lane * 8);
      to[0] = make_float4(x[0], x[1], x[2], x[3]);
      to[1] = make_float4(x[4], x[5], x[6], x[7]);
      continue;
    }
    int saturated = 0;
    const Cells<Format> cells = to_cells<Format>(x, saturated);
    if (lane >= 16) continue;
    const int values = i - Heads;
    using Words = typename Cells<Format>::Words;
    reinterpret_cast<Words*>(shared.words[values])[lane] = cells.words;
    if (lane == 0) shared.scales[values] = cells.scale;
    // One block of those that share this head of the cache stores it: that with its first head.
    if (unit.first_head % (args.attend.heads / kv.heads) != 0) continue;
    const int block = blocks[unit.place.position / kv.block_tokens];
    store_cells(kv, part_of(kv, block, values, unit.kv_head), unit.place.position % kv.block_tokens,
                cells, lane);
    if (saturated > 0) atomicAdd(kv.saturated, static_cast<unsigned long long>(saturated));
  }
}

/// A warp's positions before `end` from the cache: Positions::load() with one block looked up where
/// all of them lie in one.
template <KvFormat Format>
__device__ void load_segment(Positions<Format>& at, const KvLayer& kv, const int* blocks, int head,
                             int first, int end, int lane) {
  if (kv.block_tokens % kWarpPositions != 0) return at.load(kv, blocks, head, first, end, lane);
  if (first >= end) return;
  const int block = blocks[first / kv.block_tokens];
  const int slot = first % kv.block_tokens + lane / 16;
#pragma unroll
  for (int j = 0; j < kLanePositions; ++j) {
    if (first + 2 * j + lane / 16 >= end) continue;
    at.keys[j] = load_cells<Format>(kv, block, 0, head, slot + 2 * j, lane);
    at.values[j] = load_cells<Format>(kv, block, 1, head, slot + 2 * j, lane);
  }
}

/// The new position from shared memory, in the lanes that have it.
template <KvFormat Format, int Heads>
__device__ void take_new(Positions<Format>& at, const Shared<Heads>& shared, int first,
                         int position, int lane) {
  using Words = typename Cells<Format>::Words;
#pragma unroll
  for (int j = 0; j < kLanePositions; ++j) {
    if (first + 2 * j + lane / 16 != position) continue;
    at.keys[j].words = reinterpret_cast<const Words*>(shared.words[0])[lane % 16];
    at.values[j].words = reinterpret_cast<const Words*>(shared.words[1])[lane % 16];
    at.keys[j].scale = shared.scales[0];
    at.values[j].scale = shared.scales[1];
  }
}

/// Four dimensions of a chunk's output before the division, and its total: merge_warps().
__device__ float4 merge_segments(const float* outputs, int stride, const float2* totals,
                                 int segments, int lane, float2& total) {
  const float2 own = lane < segments ? totals[lane] : make_float2(-INFINITY, 0.0f);
  const float most = warp_max(own.x);
  const float own_weight = expf(own.x - most);
  float sum = 0.0f;
  float4 output = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 4
  for (int s = 0; s < segments; ++s) {
    const float weight = __shfl_sync(0xffffffffu, own_weight, s);
    const float4 part = reinterpret_cast<const float4*>(outputs + s * stride)[lane];
    output.x = fmaf(weight, part.x, output.x);
    output.y = fmaf(weight, part.y, output.y);
    output.z = fmaf(weight, part.z, output.z);
    output.w = fmaf(weight, part.w, output.w);
    sum = fmaf(weight, __shfl_sync(0xffffffffu, own.y, s), sum);
  }
  total = make_float2(most, sum);
  return output;
}

/// Four dimensions of a row's output: merge_chunks().
__device__ float4 merge_four(const float* parts, const float2* totals, int chunks, int lane) {
  float most = -INFINITY;
  for (int c = 0; c < chunks; ++c) most = fmaxf(most, __ldcg(totals + c).x);
  float total = 0.0f;
  float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 2
  for (int c = 0; c < chunks; ++c) {
    const float2 of_chunk = __ldcg(totals + c);
    const float weight = expf(of_chunk.x - most);
    const float4 part = __ldcg(reinterpret_cast<const float4*>(parts + c * kHeadDim) + lane);
    sum.x = fmaf(weight, part.x, sum.x);
    sum.y = fmaf(weight, part.y, sum.y);
    sum.z = fmaf(weight, part.z, sum.z);
    sum.w = fmaf(weight, part.w, sum.w);
    total = fmaf(weight, of_chunk.y, total);
  }
  return make_float4(sum.x / total, sum.y / total, sum.z / total, sum.w / total);
}

/// A head's output, and its two groups of the product that follows.
__device__ void put_head(const RowAttention& args, int row, int head, const float4& four,
                         int lane) {
  const int cols = args.attend.heads * kHeadDim;
  const int column = head * kHeadDim + lane * 4;
  *reinterpret_cast<float4*>(args.attend.out + static_cast<long long>(row) * cols + column) = four;
  const float values[4] = {four.x, four.y, four.z, four.w};
  if (any_columns(args.tiles)) put_columns(args.tiles, row, column, cols, true, values);
}

template <KvFormat Format, int Heads, bool kRope>
__global__ void __launch_bounds__(kMostWarps * 32)
    row_attention_kernel(const __grid_constant__ RowAttention args,
                         const __grid_constant__ Deltas deltas, KvLayer kv, Places places) {
  extern __shared__ __align__(16) float outputs[];  // [Heads, segments of the longest, 128]
  __shared__ Shared<Heads> shared;
  constexpr int kSome = Heads % 2 == 0 ? 2 : 1;
  allow_next();
  if constexpr (!kRope) begin();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
  const int heads = args.attend.heads;
  Unit unit;
  unit.index = static_cast<int>(blockIdx.z);
  unit.place = places.rows[args.attend.row_begin + unit.index];
  unit.chunk = static_cast<int>(blockIdx.x);
  unit.first_head = static_cast<int>(blockIdx.y) * Heads;
  unit.kv_head = unit.first_head / (heads / kv.heads);
  unit.length = unit.place.position + 1;
  const int begin_of_chunk = unit.chunk * kHeadChunk;
  if (begin_of_chunk >= unit.length) return;
  const int segments =
      min(kSegments, (unit.length - begin_of_chunk + kWarpPositions - 1) / kWarpPositions);
  const int stride = min(kSegments, (args.attend.longest + kWarpPositions - 1) / kWarpPositions) *
                     kHeadDim;  // from a head to the next
  const int* blocks = places.blocks + unit.place.blocks_begin;
  const int cached = kRope ? unit.place.position : unit.length;
  // What the cache holds is of steps before: it comes while q, k and v are still being made.
  Positions<Format> at;
  if (warp < segments)
    load_segment(at, kv, blocks, unit.kv_head, begin_of_chunk + warp * kWarpPositions, cached,
                 lane);
  if constexpr (kRope) {
    if (deltas.of.count > 0) {
      if (warp == 0) shared.found.find(deltas.entries, unit.place.row, lane);
      __syncthreads();
    }
    begin();
    prepare<Format, Heads>(args, deltas, kv, places, blocks, unit, shared);
  } else {
    const float* q = args.attend.q +
                     (static_cast<long long>(unit.place.row) * heads + unit.first_head) * kHeadDim;
    for (int i = static_cast<int>(threadIdx.x); i < Heads * kHeadDim;
         i += static_cast<int>(blockDim.x))
      shared.q[i / kHeadDim][i % kHeadDim] = q[i];
  }
  __syncthreads();
  for (int s = warp; s < segments; s += warps) {
    const int first = begin_of_chunk + s * kWarpPositions;
    if (s != warp) load_segment(at, kv, blocks, unit.kv_head, first, cached, lane);
    if (kRope && first + kWarpPositions > unit.place.position)
      take_new<Format, Heads>(at, shared, first, unit.place.position, lane);
#pragma unroll 1
    for (int h = 0; h < Heads; h += kSome)
      attend_segment<Format, kSome>(at, shared.q + h, args.attend.scale, first, unit.length, lane,
                                    outputs + h * stride + s * kHeadDim, stride,
                                    shared.totals[h] + s);
  }
  __syncthreads();
  const int chunks = (unit.length + kHeadChunk - 1) / kHeadChunk;
  const long long part =
      (static_cast<long long>(unit.index) * heads + unit.first_head) * args.attend.spans;
  for (int h = warp; h < Heads; h += warps) {
    float2 total;
    const float4 four =
        merge_segments(outputs + h * stride, kHeadDim, shared.totals[h], segments, lane, total);
    if (chunks == 1) {
      put_head(args, unit.place.row, unit.first_head + h,
               make_float4(four.x / total.y, four.y / total.y, four.z / total.y, four.w / total.y),
               lane);
      continue;
    }
    const long long own = part + static_cast<long long>(h) * args.attend.spans + unit.chunk;
    reinterpret_cast<float4*>(args.attend.parts + own * kHeadDim)[lane] = four;
    if (lane == 0) args.attend.totals[own] = total;
  }
  if (chunks == 1) return;
  // The block that comes last merges the row's chunks.
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned* counter = args.arrived + unit.index * gridDim.y + blockIdx.y;
    const bool last = atomicAdd(counter, 1u) + 1 == static_cast<unsigned>(chunks);
    if (last) *counter = 0;
    __threadfence();
    shared.last = last;
  }
  __syncthreads();
  if (!shared.last) return;
  for (int h = warp; h < Heads; h += warps) {
    const long long first = part + static_cast<long long>(h) * args.attend.spans;
    put_head(
        args, unit.place.row, unit.first_head + h,
        merge_four(args.attend.parts + first * kHeadDim, args.attend.totals + first, chunks, lane),
        lane);
  }
}

template <KvFormat Format, int Heads>
void attend_of(const RowAttention& args, const Deltas& deltas, const KvLayer& kv,
               const Places& places, cudaStream_t stream) {
  const int blocks = args.attend.row_count * args.attend.heads / Heads * args.attend.spans;
  const int segments =
      std::min(kSegments, (args.attend.longest + kWarpPositions - 1) / kWarpPositions);
  const int most = blocks <= multiprocessors() ? kMostWarps : kSharedWarps;
  const int rounds = (segments + most - 1) / most;
  const int warps = std::max((segments + rounds - 1) / rounds, 4);
  const dim3 grid(static_cast<unsigned>(args.attend.spans),
                  static_cast<unsigned>(args.attend.heads / Heads),
                  static_cast<unsigned>(args.attend.row_count));
  const std::size_t shared = static_cast<std::size_t>(Heads * segments * kHeadDim) * sizeof(float);
  launch(args.rope.q ? row_attention_kernel<Format, Heads, true>
                     : row_attention_kernel<Format, Heads, false>,
         grid, static_cast<unsigned>(warps) * 32, shared, stream, args, deltas, kv, places);
}

/// Few blocks share less of the cache and are done sooner.
template <KvFormat Format>
void attend_in(const RowAttention& args, const Deltas& deltas, const KvLayer& kv,
               const Places& places, cudaStream_t stream) {
  const int group = args.attend.heads / kv.heads;
  const int units = args.attend.row_count * args.attend.heads * args.attend.spans;
  if (group % 4 == 0 && units / 4 >= multiprocessors())
    return attend_of<Format, 4>(args, deltas, kv, places, stream);
  if (group % 2 == 0 && units / 2 >= multiprocessors())
    return attend_of<Format, 2>(args, deltas, kv, places, stream);
  attend_of<Format, 1>(args, deltas, kv, places, stream);
}

}  // namespace

void load_row_attention(const KvLayer& kv) {
  if (!has_row_attention(kv) || kv.format != KvFormat::kF16) return;
  load_kernel(row_attention_kernel<KvFormat::kF16, 4, true>);
  load_kernel(row_attention_kernel<KvFormat::kF16, 2, true>);
  load_kernel(row_attention_kernel<KvFormat::kF16, 1, true>);
}

void attend_rows(const RowAttention& args, const Deltas& deltas, const KvLayer& kv,
                 const Places& places, cudaStream_t stream) {
  if (kv.format == KvFormat::kF16)
    return attend_in<KvFormat::kF16>(args, deltas, kv, places, stream);
  attend_in<KvFormat::kInt8>(args, deltas, kv, places, stream);
}

}  // namespace bobby::cuda
