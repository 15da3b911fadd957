#pragma once

// The attention of a layer in the whole-step kernel: one row, one head and one chunk of positions
// at a time. Everything that does not depend on this step is fetched before the wait for q, k and
// v.

#include "backends/cuda/step_adapters.cuh"

namespace bobby::cuda {

struct HeadUnit {
  int row;
  int chunk;
  int head;
};

__device__ inline int chunks_of(const StepArgs& args, int row) {
  return args.positions[row] / kHeadChunk + 1;
}

__device__ inline HeadUnit unit_of(const StepArgs& args, int index) {
  HeadUnit unit{0, index / args.heads, index % args.heads};
  while (unit.chunk >= chunks_of(args, unit.row)) unit.chunk -= chunks_of(args, unit.row++);
  return unit;
}

inline constexpr int kStepBlock = 32;  ///< tokens of a block of the cache

/// The cache's positions of a unit as they come through the ring: the keys of the blocks that each
/// quarter's warps read first, of those that they read second, then the values.
__device__ inline void write_unit(RingWriter& writer, const StepArgs& args, const KvLayer& kv,
                                  const HeadUnit& unit) {
  const int* blocks = args.blocks + args.blocks_begin[unit.row];
  const int head = unit.head / (args.heads / args.kv_heads);
  for (int i = 0; i < 16; ++i) {
    const int block = unit.chunk * (kHeadChunk / kStepBlock) + i % 4 * 2 + i / 4 % 2;
    const bool there = block * kStepBlock < args.positions[unit.row];
    writer.put(there ? part_of(kv, blocks[block], i / 8, head) : nullptr,
               there ? static_cast<int>(kv.part_bytes) : 0, true);
  }
}

/// Calls run(unit) for this block's units of a layer. Few units are spread over the blocks.
template <typename Run>
__device__ void each_unit(const StepArgs& args, int worker, const Run& run) {
  int units = 0;
  for (int r = 0; r < args.rows; ++r) units += chunks_of(args, r) * args.heads;
  const int apart = max(1, args.workers / units);
  if (worker % apart != 0) return;
  const int blocks = (args.workers + apart - 1) / apart;
  for (int i = worker / apart; i < units; i += blocks) run(unit_of(args, i));
}

/// A vector of a block that came through the ring: position `slot` of it.
template <KvFormat Format>
__device__ Cells<Format> ring_cells(const unsigned char* part, const KvLayer& kv, int slot,
                                    int lane) {
  using Words = typename Cells<Format>::Words;
  Cells<Format> cells;
  cells.words = reinterpret_cast<const Words*>(part)[slot * 16 + lane % 16];
  if (Format == KvFormat::kInt8)
    cells.scale = reinterpret_cast<const float*>(part + kv.part_bytes)[slot - kStepBlock];
  return cells;
}

/// The new position of a row, in the ring as if it had been in the cache, and in the cache, if this
/// is the first head of its group.
template <KvFormat Format>
__device__ void put_new(const StepArgs& args, const KvLayer& kv, const HeadUnit& unit, int values,
                        const float (&x)[8], unsigned char* part, int lane) {
  int saturated = 0;
  const Cells<Format> cells = to_cells<Format>(x, saturated);
  const int group = args.heads / args.kv_heads;
  const int position = args.positions[unit.row];
  if (lane < 16) {
    store_cells(kv, part, position % kStepBlock, cells, lane);
    // The ring's next copy to this place must come after it.
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  __syncwarp();
  if (unit.head % group != 0 || lane >= 16) return;
  const int number = args.blocks[args.blocks_begin[unit.row] + position / kStepBlock];
  store_cells(kv, part_of(kv, number, values, unit.head / group), position % kStepBlock, cells,
              lane);
  if (saturated > 0) atomicAdd(kv.saturated, static_cast<unsigned long long>(saturated));
}

/// A chunk's result: the row's own, or a part that the last block to come merges.
template <int Rows>
__device__ void finish_unit(const Block<Rows>& block, const StepArgs& args, const HeadUnit& unit,
                            const HeadShared& shared) {
  const int tid = block.thread();
  const int chunks = chunks_of(args, unit.row);
  const int head = unit.row * args.heads + unit.head;
  float2 total;
  const float output =
      merge_warps(shared, args.positions[unit.row] + 1 - unit.chunk * kHeadChunk, tid, total);
  float* out = args.attention + head * kHeadDim + tid;
  unsigned* counter = args.counters + StepCounters::kAttention * StepCounters::kStride;
  if (chunks == 1) {
    *out = output / total.y;
  } else {
    const long long part = static_cast<long long>(head) * args.chunks;
    args.parts[(part + unit.chunk) * kHeadDim + tid] = output;
    if (tid == 0) args.totals[part + unit.chunk] = total;
    meet(kWriters, kHeadDim);
    if (tid == 0) {
      __threadfence();
      const unsigned before = atomicAdd(args.chunk_counters + head, 1);
      __threadfence();
      block.shared().last = before + 1 == static_cast<unsigned>(chunks);
    }
    meet(kWriters, kHeadDim);
    if (!block.shared().last) return;
    *out = merge_chunks(args.parts + part * kHeadDim, args.totals + part, chunks, tid);
    if (tid == 0) args.chunk_counters[head] = 0;
  }
  meet(kWriters, kHeadDim);
  if (tid == 0) arrive(counter, 1);
}

template <int Rows, KvFormat Format>
__device__ void attend_unit(const Block<Rows>& block, const StepArgs& args, Cursor& cursor,
                            int layer, const HeadUnit& unit) {
  const LayerShared& weights = block.shared().layers[layer % 2];
  KvLayer kv = args.kv;
  kv.data = weights.kv;
  const int group = args.heads / args.kv_heads;
  const int kv_head = unit.head / group;
  const int warp = block.warp();
  const int lane = block.lane();
  const int length = args.positions[unit.row] + 1;
  const int first = unit.chunk * kHeadChunk + warp * kWarpPositions;
  const int lane_column = lane % 16 * 8;
  const bool any = first < length;
  const bool is_new = any && first + kWarpPositions >= length;
  float q[8], k[8], v[8], norm[8];
  const bool normed = weights.q_norm != nullptr;
  if (normed && any) load_eight(weights.q_norm + lane_column, norm);
  const unsigned done =
      args.step * static_cast<unsigned>(args.layer_count) + static_cast<unsigned>(layer);
  block.wait(args.counters + (StepCounters::kQkv + kv_head) * StepCounters::kStride,
             static_cast<unsigned>((group + 2) * (kHeadDim / kTileRows)) * (done + 1));
  const float2* angles = block.shared().angles[unit.row];
  if (any) {
    load_eight(args.q + (unit.row * args.heads + unit.head) * kHeadDim + lane_column, q);
    if (is_new) {
      const int from = (unit.row * args.kv_heads + kv_head) * kHeadDim + lane_column;
      load_eight(args.k + from, k);
      load_eight(args.v + from, v);
    }
    rotate_head(q, normed ? norm : nullptr, args.eps, angles, lane);
    if (is_new) {
      if (normed) load_eight(weights.k_norm + lane_column, norm);
      rotate_head(k, normed ? norm : nullptr, args.eps, angles, lane);
    }
  }
  auto& shared = *reinterpret_cast<HeadShared*>(block.shared().parts);
  const int quarter = warp / 4;
  const int slot = warp % 2 * kWarpPositions + lane / 16;
  float scores[kLanePositions];
  float most = 0.0f;
#pragma unroll 1
  for (int i = 0; i < 4; ++i) {
    unsigned char* part = block.ring(args).read(cursor, quarter);
    const auto cells = [&](int j) { return ring_cells<Format>(part, kv, slot + 2 * j, lane); };
    if (any && i % 2 == warp % 4 / 2) {
      if (i < 2) {
        if (is_new) put_new<Format>(args, kv, unit, 0, k, part, lane);
        most = score_positions<Format>(cells, q, args.scale, first, length, lane, scores);
      } else {
        if (is_new) put_new<Format>(args, kv, unit, 1, v, part, lane);
        weigh_positions<Format>(cells, scores, most, first, length, warp, lane, shared);
      }
    }
    block.ring(args).release(cursor, quarter, lane);
    cursor.next(block.ring(args).slots);
  }
  meet(kAllReaders, kReaders);
  if (block.thread() < kHeadDim) finish_unit(block, args, unit, shared);
}

}  // namespace bobby::cuda
