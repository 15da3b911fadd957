#pragma once

// Products of the whole-step kernel: a chunk of tiles side by side, a warp its two parts of each.
// Four rows of x are the eight columns of a fragment, hi and lo of each.

#include "backends/cuda/step_block.cuh"

namespace bobby::cuda {

/// This lane's share of x for a group: fragments of B, and of row t of x scale and sum.
struct GroupOfX {
  uint4 bytes;
  float2 scale;
};

/// Where a lane finds its share of x.
template <int Rows>
class XPlace {
 public:
  __device__ XPlace(const Block<Rows>& block, const StepArgs& args) {
    const int quad = block.lane() / 4;
    const int t = block.lane() % 4;
    bytes_ =
        block.x_bytes() + min(quad / 2, Rows - 1) * args.x_groups * 128 + quad % 2 * 64 + t * 16;
    scales_ = block.x_scales(args) + min(t, Rows - 1) * (args.x_groups + 1);
  }
  __device__ GroupOfX operator[](int group) const {
    return {*reinterpret_cast<const uint4*>(bytes_ + group * 128), scales_[group]};
  }

 private:
  const unsigned char* bytes_;
  const float2* scales_;
};

/// This warp's groups of a stretch: of a product's only one, for all of its chunks.
struct HeldX {
  GroupOfX groups[kSets][kTilePartGroups];

  template <int Rows>
  __device__ void load(const XPlace<Rows>& x, int first, int groups_in_all, int warp) {
#pragma unroll
    for (int set = 0; set < kSets; ++set)
#pragma unroll
      for (int i = 0; i < kTilePartGroups; ++i) {
        const int group = first + (set * kReaderWarps + warp) * kTilePartGroups + i;
        if (group < groups_in_all) groups[set][i] = x[group];
      }
  }
};

/// What a group adds to the sums of the rows quad and quad + 8, row t of x.
template <Element Type>
__device__ __forceinline__ void multiply_group(const Levels& levels, uint2 pair, const GroupOfX& x,
                                               float (&sums)[2]) {
  constexpr int kMagicBits = 0x4B400000;  // of 1.5 * 2^23: the sum is then a float as it stands
  constexpr float kMagic = 12582912.0f;
  int c[4] = {kMagicBits, kMagicBits, kMagicBits, kMagicBits};
  multiply_tile(c, levels.first, x.bytes.x, x.bytes.y);
  multiply_tile(c, levels.second, x.bytes.z, x.bytes.w);
  const float above = fmaf(__int_as_float(c[0]) - kMagic, 128.0f, __int_as_float(c[1]) - kMagic);
  const float below = fmaf(__int_as_float(c[2]) - kMagic, 128.0f, __int_as_float(c[3]) - kMagic);
  sums[0] = add_group(sums[0], above, scale_and_bias<Type>(pair.x), x.scale);
  sums[1] = add_group(sums[1], below, scale_and_bias<Type>(pair.y), x.scale);
}

/// A lane's words of a group of a tile, and scales and biases of its two rows.
struct GroupOfTile {
  uint4 words;
  uint2 pair;

  __device__ GroupOfTile() = default;
  __device__ GroupOfTile(const unsigned char* record, int lane)
      : words(reinterpret_cast<const uint4*>(record)[lane]),
        pair(reinterpret_cast<const uint2*>(record + kTileLevelBytes)[lane / 4]) {}
};

/// Sums of a chunk: [part of this warp][tile][row quad, row quad + 8], of row t of x.
template <int Tiles>
struct ChunkSums {
  float of[kSets][Tiles][2] = {};
};

/// A whole part, two groups at a time: more loads before their use would not fit into registers.
template <Element Type, int Tiles>
__device__ __forceinline__ void multiply_part(const unsigned char* const (&records)[Tiles],
                                              const GroupOfX (&x)[kTilePartGroups], int lane,
                                              float (&sums)[Tiles][2]) {
  constexpr int kAhead = 2;
#pragma unroll
  for (int first = 0; first < kTilePartGroups; first += kAhead) {
    GroupOfTile groups[kAhead][Tiles];
#pragma unroll
    for (int i = 0; i < kAhead; ++i)
#pragma unroll
      for (int tile = 0; tile < Tiles; ++tile)
        groups[i][tile] = GroupOfTile(records[tile] + (first + i) * kTileRecordBytes, lane);
#pragma unroll
    for (int i = 0; i < kAhead; ++i)
#pragma unroll
      for (int tile = 0; tile < Tiles; ++tile)
        multiply_group<Type>(Levels(groups[i][tile].words), groups[i][tile].pair, x[first + i],
                             sums[tile]);
  }
}

/// The next slots of the ring, one for each tile of the chunk, of a stretch that begins with group
/// `first`. `held`: x of the stretch.
template <int Rows, Element Type, int Tiles>
__device__ __forceinline__ void multiply_slots(const Block<Rows>& block, const StepArgs& args,
                                               int first, int groups, const XPlace<Rows>& x,
                                               const HeldX& held, Cursor& cursor,
                                               ChunkSums<Tiles>& sums) {
  const Ring ring = block.ring(args);
  const int warp = block.warp();
  const int lane = block.lane();
  Cursor slots[Tiles];
#pragma unroll
  for (int tile = 0; tile < Tiles; ++tile) {
    slots[tile] = cursor;
    cursor.next(ring.slots);
  }
#pragma unroll
  for (int set = 0; set < kSets; ++set) {
    const int part = set * kReaderWarps + warp;
    const int quarter = part / 4;
    const int group = first + part * kTilePartGroups;
    const int count = min(kTilePartGroups, groups - group);
    const unsigned char* records[Tiles];
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile)
      records[tile] =
          ring.read(slots[tile], quarter) + part % 4 * kTilePartGroups * kTileRecordBytes;
    if (count == kTilePartGroups) {
      multiply_part<Type>(records, held.groups[set], lane, sums.of[set]);
    } else {
#pragma unroll 1
      for (int i = 0; i < count; ++i)
#pragma unroll
        for (int tile = 0; tile < Tiles; ++tile) {
          const GroupOfTile one(records[tile] + i * kTileRecordBytes, lane);
          multiply_group<Type>(Levels(one.words), one.pair, x[group + i], sums.of[set][tile]);
        }
    }
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) ring.release(slots[tile], quarter, lane);
  }
}

/// A warp's two parts, added, into the chunk's parts.
template <int Rows, int Tiles>
__device__ __forceinline__ void put_parts(float (&to)[kChunkTiles][kTileRows][Rows], int lane,
                                          const ChunkSums<Tiles>& sums) {
  const int quad = lane / 4;
  const int t = lane % 4;
  if (t >= Rows) return;
#pragma unroll
  for (int tile = 0; tile < Tiles; ++tile)
#pragma unroll
    for (int i = 0; i < 2; ++i)
      to[tile][quad + i * 8][t] =
          kSets == 2 ? sums.of[0][tile][i] + sums.of[kSets - 1][tile][i] : sums.of[0][tile][i];
}

}  // namespace bobby::cuda
