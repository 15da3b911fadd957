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

/// Eight numbers that another block is making.
__device__ inline void await_eight(const float* from, float (&to)[8]) {
  do look_at_eight(from, to);
  while (!__all_sync(0xffffffffu, all_set(to)));
}

/// A chunk's result: the row's own, or a part that the last block to come merges.
template <int Rows>
__device__ void finish_unit(const Block<Rows>& block, const StepArgs& args, const HeadUnit& unit,
                            const HeadShared& shared) {
  const int tid = block.thread();
  const int chunks = chunks_of(args, unit.row);
  const int head = unit.row * args.heads + unit.head;
  float2 total;
  const float output = merge_warps(shared, args.positions[unit.row] + 1 - unit.chunk * kHeadChunk,
                                   tid, block.lane(), total);
  float* out = args.exchange.attention + head * kHeadDim + tid;
  if (chunks == 1) return publish(out, output / total.y);
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

/// One warp in a unit: it stands for two of the sixteen that share a chunk, `first` their first
/// positions.
template <int Rows, KvFormat Format>
class UnitWarp {
 public:
  __device__ UnitWarp(const StepArgs& args, const KvLayer& kv, const HeadUnit& unit)
      : args_(args), kv_(kv), unit_(unit), length_(args.positions[unit.row] + 1) {
#pragma unroll
    for (int set = 0; set < kSets; ++set) {
      first_[set] = unit.chunk * kHeadChunk + (set * kReaderWarps + block_.warp()) * kWarpPositions;
      any_[set] = first_[set] < length_;
      has_new_ = has_new_ || (any_[set] && first_[set] + kWarpPositions >= length_);
    }
  }

  __device__ void run(Cursor& cursor, const LayerShared& weights) {
    const int lane = block_.lane();
    const int warp = block_.warp();
    const Ring ring = block_.ring(args_);
    float q[8];
    if (any_[0]) prepare(weights, q);
    // The warp's keys come in one of the first two slots, its values in one of the others.
    Cursor at[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      at[i] = cursor;
      cursor.next(ring.slots);
    }
    const int own = warp % 4 / 2;
    const Cursor keys = own == 0 ? at[0] : at[1];
    const Cursor values = own == 0 ? at[2] : at[3];
    // A short ring has no room for both at once.
    const auto release = [&](int i) {
#pragma unroll
      for (int set = 0; set < kSets; ++set) {
        ring.read(at[i], quarter(set));
        ring.release(at[i], quarter(set), lane);
      }
    };
    const bool early = ring.slots < 4;
    HeadShared& shared = block_.shared().head;
    float scores[kSets][kLanePositions];
    float most[kSets];
#pragma unroll
    for (int set = 0; set < kSets; ++set)
      if (any_[set])
        most[set] = score_positions<Format>(cells_of(ring.read(keys, quarter(set)), set, new_k_), q,
                                            args_.scale, first_[set], length_, lane, scores[set]);
    if (early) release(0), release(1);
#pragma unroll
    for (int set = 0; set < kSets; ++set)
      if (any_[set])
        weigh_positions<Format>(cells_of(ring.read(values, quarter(set)), set, new_v_), scores[set],
                                most[set], first_[set], length_, set * kReaderWarps + warp, lane,
                                shared);
    meet(kAllReaders, kReaders);
    if (block_.thread() < kHeadDim) finish_unit(block_, args_, unit_, shared);
    // What nobody waits for.
    if (!early) release(0), release(1);
    release(2), release(3);
    if (has_new_ && unit_.head % (args_.heads / args_.kv_heads) == 0) store_new();
  }

 private:
  __device__ int quarter(int set) const {
    return set * (kReaderWarps / 4) + block_.warp() / 4;
  }
  __device__ int kv_head() const {
    return unit_.head / (args_.heads / args_.kv_heads);
  }

  /// q, and the new position's key and value if they are this warp's.
  __device__ void prepare(const LayerShared& weights, float (&q)[8]) {
    const int lane = block_.lane();
    const int column = lane % 16 * 8;
    const bool normed = weights.q_norm != nullptr;
    float q_norm[8], k_norm[8];
    if (normed) {
      load_eight(weights.q_norm + column, q_norm);
      load_eight(weights.k_norm + column, k_norm);
    }
    const float2* angles = block_.shared().angles[unit_.row];
    await_eight(args_.exchange.q + (unit_.row * args_.heads + unit_.head) * kHeadDim + column, q);
    float k[8], v[8];
    if (has_new_) {
      const int from = (unit_.row * args_.kv_heads + kv_head()) * kHeadDim + column;
      await_eight(args_.exchange.k + from, k);
      await_eight(args_.exchange.v + from, v);
    }
    rotate_head(q, normed ? q_norm : nullptr, args_.eps, angles, lane);
    if (!has_new_) return;
    rotate_head(k, normed ? k_norm : nullptr, args_.eps, angles, lane);
    saturated_ = 0;
    new_k_ = to_cells<Format>(k, saturated_);
    new_v_ = to_cells<Format>(v, saturated_);
  }

  /// Position j of a set: from the cache, or the new one.
  __device__ auto cells_of(const unsigned char* part, int set, const Cells<Format>& fresh) const {
    return [=, this](int j) {
      const int slot = block_.warp() % 2 * kWarpPositions + block_.lane() / 16 + 2 * j;
      Cells<Format> cells = ring_cells<Format>(part, kv_, slot, block_.lane());
      if (has_new_ && first_[set] + 2 * j + block_.lane() / 16 == length_ - 1) cells = fresh;
      return cells;
    };
  }

  /// The new position's key and value into the cache.
  __device__ void store_new() const {
    if (block_.lane() >= 16) return;
    const int position = length_ - 1;
    const int number = args_.blocks[args_.blocks_begin[unit_.row] + position / kStepBlock];
    store_cells(kv_, part_of(kv_, number, 0, kv_head()), position % kStepBlock, new_k_,
                block_.lane());
    store_cells(kv_, part_of(kv_, number, 1, kv_head()), position % kStepBlock, new_v_,
                block_.lane());
    if (saturated_ > 0) atomicAdd(kv_.saturated, static_cast<unsigned long long>(saturated_));
  }

  const StepArgs& args_;
  const KvLayer& kv_;
  const HeadUnit& unit_;
  Block<Rows> block_;
  int length_;
  int first_[kSets];
  bool any_[kSets];
  bool has_new_ = false;
  int saturated_ = 0;
  Cells<Format> new_k_, new_v_;
};

template <int Rows, KvFormat Format>
__device__ void attend_unit(const StepArgs& args, Cursor& cursor, int layer, const HeadUnit& unit) {
  const LayerShared& weights = Block<Rows>::shared().layers[layer % 2];
  KvLayer kv = args.kv;
  kv.data = weights.kv;
  UnitWarp<Rows, Format>(args, kv, unit).run(cursor, weights);
}

}  // namespace bobby::cuda
