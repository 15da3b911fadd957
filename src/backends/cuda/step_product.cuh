#pragma once

// Products of the whole-step kernel: a chunk of tiles side by side, a warp its two parts of each.

#include "backends/cuda/step_block.cuh"

namespace bobby::cuda {

/// Where a lane finds its share of x: fragments of B of four rows, and of row t scales and sums.
template <int Rows>
struct XPlace {
  int bytes[kColumnTiles<Rows>];
  int scales[kColumnTiles<Rows>];

  __device__ XPlace(const StepArgs& args, int lane) {
    const int quad = lane / 4;
    const int t = lane % 4;
#pragma unroll
    for (int n = 0; n < kColumnTiles<Rows>; ++n) {
      bytes[n] = min(n * 4 + quad / 2, args.rows - 1) * args.x_groups * 128 + quad % 2 * 64 + t * 16;
      scales[n] = min(n * 4 + t, args.rows - 1) * (args.x_groups + 1);
    }
  }
};

/// What a group adds to the sums of the rows quad and quad + 8, row t of four rows of x.
template <Element Type>
__device__ __forceinline__ void multiply_group(const Levels& levels, uint2 pair, uint4 x,
                                               float2 x_scale, float (&sums)[2]) {
  constexpr int kMagicBits = 0x4B400000;  // of 1.5 * 2^23: the sum is then a float as it stands
  constexpr float kMagic = 12582912.0f;
  int c[4] = {kMagicBits, kMagicBits, kMagicBits, kMagicBits};
  multiply_tile(c, levels.first, x.x, x.y);
  multiply_tile(c, levels.second, x.z, x.w);
  const float above = fmaf(__int_as_float(c[0]) - kMagic, 128.0f, __int_as_float(c[1]) - kMagic);
  const float below = fmaf(__int_as_float(c[2]) - kMagic, 128.0f, __int_as_float(c[3]) - kMagic);
  sums[0] = add_group(sums[0], above, scale_and_bias<Type>(pair.x), x_scale);
  sums[1] = add_group(sums[1], below, scale_and_bias<Type>(pair.y), x_scale);
}

/// `Groups` groups of a part, from records and x that lie one after the other.
template <int Rows, Element Type, int Tiles, int Groups>
__device__ __forceinline__ void multiply_groups(const unsigned char* const (&records)[Tiles],
                                                const unsigned char* x_bytes,
                                                const float2* x_scales, const XPlace<Rows>& place,
                                                int lane,
                                                float (&sums)[Tiles][kColumnTiles<Rows>][2]) {
#pragma unroll
  for (int i = 0; i < Groups; ++i) {
    uint4 x[kColumnTiles<Rows>];
    float2 scales[kColumnTiles<Rows>];
#pragma unroll
    for (int n = 0; n < kColumnTiles<Rows>; ++n) {
      x[n] = *reinterpret_cast<const uint4*>(x_bytes + place.bytes[n] + i * 128);
      scales[n] = x_scales[place.scales[n] + i];
    }
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      const unsigned char* record = records[tile] + i * kTileRecordBytes;
      const Levels levels(reinterpret_cast<const uint4*>(record)[lane]);
      const uint2 pair = reinterpret_cast<const uint2*>(record + kTileLevelBytes)[lane / 4];
#pragma unroll
      for (int n = 0; n < kColumnTiles<Rows>; ++n)
        multiply_group<Type>(levels, pair, x[n], scales[n], sums[tile][n]);
    }
  }
}

/// Sums of a chunk: [part of this warp][tile][four rows of x][row quad, row quad + 8].
template <int Rows, int Tiles>
struct ChunkSums {
  float of[kSets][Tiles][kColumnTiles<Rows>][2] = {};
};

/// The next slots of the ring, one for each tile of the chunk, of a stretch that begins with group
/// `first`; x of that stretch begins `x_first` groups into what is kept of it.
template <int Rows, Element Type, int Tiles>
__device__ void multiply_slots(const Block<Rows>& block, const StepArgs& args, int first,
                               int x_first, int groups, const XPlace<Rows>& place, Cursor& cursor,
                               ChunkSums<Rows, Tiles>& sums) {
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
    const int count = min(kTilePartGroups, groups - first - part * kTilePartGroups);
    const int x_group = x_first + part * kTilePartGroups;
    const unsigned char* records[Tiles];
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile)
      records[tile] = ring.read(slots[tile], quarter) + part % 4 * kTilePartGroups * kTileRecordBytes;
    if (count == kTilePartGroups) {
      multiply_groups<Rows, Type, Tiles, kTilePartGroups>(
          records, block.x_bytes() + x_group * 128, block.x_scales(args) + x_group, place, lane,
          sums.of[set]);
    } else {
#pragma unroll 1
      for (int i = 0; i < count; ++i) {
        multiply_groups<Rows, Type, Tiles, 1>(records, block.x_bytes() + (x_group + i) * 128,
                                              block.x_scales(args) + x_group + i, place, lane,
                                              sums.of[set]);
#pragma unroll
        for (int tile = 0; tile < Tiles; ++tile) records[tile] += kTileRecordBytes;
      }
    }
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) ring.release(slots[tile], quarter, lane);
  }
}

/// A warp's two parts, added, into the chunk's parts.
template <int Rows, int Tiles>
__device__ void put_parts(float (&to)[kChunkTiles][kTileRows][Rows], int lane,
                          const ChunkSums<Rows, Tiles>& sums) {
  const int quad = lane / 4;
  const int t = lane % 4;
#pragma unroll
  for (int tile = 0; tile < Tiles; ++tile)
#pragma unroll
    for (int n = 0; n < kColumnTiles<Rows>; ++n) {
      if (Rows < 4 && t >= Rows) continue;
#pragma unroll
      for (int i = 0; i < 2; ++i)
        to[tile][quad + i * 8][n * 4 + t] = sums.of[0][tile][n][i] + sums.of[1][tile][n][i];
    }
}

}  // namespace bobby::cuda
