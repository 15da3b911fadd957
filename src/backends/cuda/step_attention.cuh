#pragma once

// The attention of a layer in the whole-step kernel: one row, one head and one chunk of positions
// at a time. Everything that does not depend on this step is fetched before the wait for q, k and
// v.

#include "backends/cuda/step_block.cuh"

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
  float* out = args.exchange.attention + head * kHeadDim + tid;
  if (chunks == 1) {
    publish(out, output / total.y);
  } else {
    const long long part = static_cast<long long>(head) * args.chunks;
    args.parts[(part + unit.chunk) * kHeadDim + tid] = output;
    if (tid == 0) args.totals[part + unit.chunk] = total;
    meet(kMergers, kHeadDim);
    if (tid == 0) {
      __threadfence();
      const unsigned before = atomicAdd(args.chunk_counters + head, 1);
      __threadfence();
      block.shared().last = before + 1 == static_cast<unsigned>(chunks);
    }
    meet(kMergers, kHeadDim);
    if (!block.shared().last) return;
    publish(out, merge_chunks(args.parts + part * kHeadDim, args.totals + part, chunks, tid));
    if (tid == 0) args.chunk_counters[head] = 0;
  }
}

/// Eight numbers that another block is making.
__device__ inline void await_eight(const float* from, float (&to)[8]) {
  do look_at_eight(from, to);
  while (!__all_sync(0xffffffffu, all_set(to)));
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
  const int lane_column = lane % 16 * 8;
  // A warp stands for two of the sixteen that share a chunk.
  int first[kSets];
  bool any[kSets], is_new[kSets];
#pragma unroll
  for (int set = 0; set < kSets; ++set) {
    first[set] = unit.chunk * kHeadChunk + (set * kReaderWarps + warp) * kWarpPositions;
    any[set] = first[set] < length;
    is_new[set] = any[set] && first[set] + kWarpPositions >= length;
  }
  float q[8], k[8], v[8], norm[8], k_norm[8];
  const bool normed = weights.q_norm != nullptr;
  if (normed) {
    load_eight(weights.q_norm + lane_column, norm);
    load_eight(weights.k_norm + lane_column, k_norm);
  }
  const float2* angles = block.shared().angles[unit.row];
  const bool has_new = is_new[0] || is_new[1];
  if (any[0])
    await_eight(args.exchange.q + (unit.row * args.heads + unit.head) * kHeadDim + lane_column, q);
  if (has_new) {
    const int from = (unit.row * args.kv_heads + kv_head) * kHeadDim + lane_column;
    await_eight(args.exchange.k + from, k);
    await_eight(args.exchange.v + from, v);
  }
  if (any[0]) rotate_head(q, normed ? norm : nullptr, args.eps, angles, lane);
  if (has_new) rotate_head(k, normed ? k_norm : nullptr, args.eps, angles, lane);
  HeadShared& shared = block.shared().head;
  const int slot = warp % 2 * kWarpPositions + lane / 16;
  float scores[kSets][kLanePositions];
  float most[kSets];
#pragma unroll 1
  for (int i = 0; i < 4; ++i) {
    const bool own = i % 2 == warp % 4 / 2;
#pragma unroll
    for (int set = 0; set < kSets; ++set) {
      const int quarter = set * (kReaderWarps / 4) + warp / 4;
      unsigned char* part = block.ring(args).read(cursor, quarter);
      const auto cells = [&](int j) { return ring_cells<Format>(part, kv, slot + 2 * j, lane); };
      if (own && any[set]) {
        if (i < 2) {
          if (is_new[set]) put_new<Format>(args, kv, unit, 0, k, part, lane);
          most[set] =
              score_positions<Format>(cells, q, args.scale, first[set], length, lane, scores[set]);
        } else {
          if (is_new[set]) put_new<Format>(args, kv, unit, 1, v, part, lane);
          weigh_positions<Format>(cells, scores[set], most[set], first[set], length,
                                  set * kReaderWarps + warp, lane, shared);
        }
      }
      block.ring(args).release(cursor, quarter, lane);
    }
    cursor.next(block.ring(args).slots);
  }
  meet(kAllReaders, kReaders);
  if (block.thread() < kHeadDim) finish_unit(block, args, unit, shared);
}

}  // namespace bobby::cuda
