#pragma once

// Where rounded numbers of x lie in the tiles of products, for every kernel that writes them.

#include <cuda_fp16.h>
#include <type_traits>

#include "backends/cuda/orders.cuh"
#include "backends/cuda/tiled.cuh"
#include "backends/cuda/x_tiles.h"

namespace bobby::cuda {

/// Where byte `byte` of row `row` of a tile lies: 16-byte pieces change places in eight rows.
template <int kRowBytes>
__device__ inline int swizzled(int row, int byte) {
  const int turn = kRowBytes == 128 ? row & 7 : row >> 1 & 3;
  return row * kRowBytes + (((byte >> 4) ^ turn) << 4) + (byte & 15);
}

/// A column's byte follows from the fragment of the weight that it meets: the low nibbles of four
/// words, then their high ones.
__device__ inline int batch_byte(int column) {
  return column / 32 * 32 + column % 2 * 16 + column % 32 / 2;
}

/// The tile rows of a row of x: of hi, then of lo.
__device__ inline int2 byte_tile_rows(const ByteTiles& to, int row) {
  return make_int2(row, row + to.columns);
}

/// A lane's numbers of one group in q15, in columns `column`, `column` + kApart, ... of it; kLanes
/// lanes side by side hold the group. All lanes of the warp call it.
template <int kCount, int kLanes>
struct GroupQ15 {
  int number[kCount];
  float2 scales;  ///< the group's scale, scale * sum of the integers

  __device__ explicit GroupQ15(const float (&x)[kCount]) {
    float largest = 0.0f;
    int finite = 1;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      largest = fmaxf(largest, fabsf(x[i]));
      finite &= isfinite(x[i]) ? 1 : 0;
    }
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, offset));
      finite &= __shfl_xor_sync(0xffffffffu, finite, offset);
    }
    const Q15 form = q15_of(largest, finite != 0);
    int sum = 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) sum += number[i] = q15(x[i], form.inverse);
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2)
      sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    scales = make_float2(form.scale, form.scale * static_cast<float>(sum));
  }
};

/// The hi and lo bytes of numbers a, b, ... in the bytes of a word.
template <int kBytes>
__device__ inline unsigned pack_hi(const int (&numbers)[kBytes]) {
  unsigned word = 0;
#pragma unroll
  for (int i = 0; i < kBytes; ++i)
    word |= (static_cast<unsigned>(numbers[i] >> 7) & 255u) << (8 * i);
  return word;
}
template <int kBytes>
__device__ inline unsigned pack_lo(const int (&numbers)[kBytes]) {
  unsigned word = 0;
#pragma unroll
  for (int i = 0; i < kBytes; ++i) word |= (static_cast<unsigned>(numbers[i]) & 127u) << (8 * i);
  return word;
}

/// kCount (4 or 8) consecutive columns of a row from `column`, a multiple of kCount, on; 64 /
/// kCount lanes side by side hold a group. All lanes of the warp call it; `there`: whether this
/// one's columns exist.
template <int kCount>
__device__ inline void put_columns(const RowTiles& to, int row, int column, int cols, bool there,
                                   const float (&x)[kCount]) {
  using Word = std::conditional_t<kCount == 8, unsigned, unsigned short>;
  const GroupQ15<kCount, kTileGroup / kCount> group(x);
  if (!there) return;
  int even[kCount / 2], odd[kCount / 2];
#pragma unroll
  for (int i = 0; i < kCount / 2; ++i) {
    even[i] = group.number[2 * i];
    odd[i] = group.number[2 * i + 1];
  }
  const Word even_hi = static_cast<Word>(pack_hi(even)), odd_hi = static_cast<Word>(pack_hi(odd));
  const Word even_lo = static_cast<Word>(pack_lo(even)), odd_lo = static_cast<Word>(pack_lo(odd));
  const int in_group = column % kTileGroup;
  const long long number = column / kTileGroup;
  const auto put = [](unsigned char* at, Word word) { *reinterpret_cast<Word*>(at) = word; };
  if (to.bytes.bytes) {
    unsigned char* tile = to.bytes.bytes + number * to.bytes.columns * 128;
    const int byte = batch_byte(in_group);
    const int2 rows = byte_tile_rows(to.bytes, row);
    put(tile + swizzled<64>(rows.x, byte), even_hi);
    put(tile + swizzled<64>(rows.x, byte + 16), odd_hi);
    put(tile + swizzled<64>(rows.y, byte), even_lo);
    put(tile + swizzled<64>(rows.y, byte + 16), odd_lo);
    if (in_group == 0) to.bytes.scales[number * to.bytes.columns + row] = group.scales;
  } else {
    const long long at = static_cast<long long>(row) * (cols / kTileGroup) + number;
    auto* bytes = reinterpret_cast<unsigned char*>(to.tiled.bytes + at * 8) + tile_byte(in_group);
    put(bytes, even_hi);
    put(bytes + 4, odd_hi);
    put(bytes + 64, even_lo);
    put(bytes + 68, odd_lo);
    if (in_group == 0) to.tiled.scales[at] = group.scales;
  }
}

__device__ inline bool any_columns(const RowTiles& to) {
  return to.bytes.bytes || to.tiled.bytes;
}

/// Columns lane and lane + 32 of group `number` of a row.
__device__ inline void put_group(const RowTiles& to, int row, int number, int cols, int lane,
                                 const float (&x)[2]) {
  const GroupQ15<2, 32> group(x);
  const long long at = static_cast<long long>(row) * (cols / kTileGroup) + number;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const auto hi = static_cast<unsigned char>(group.number[i] >> 7);
    const auto lo = static_cast<unsigned char>(group.number[i] & 127);
    const int column = lane + 32 * i;
    if (to.bytes.bytes) {
      unsigned char* tile =
          to.bytes.bytes + static_cast<long long>(number) * to.bytes.columns * 128;
      const int2 rows = byte_tile_rows(to.bytes, row);
      tile[swizzled<64>(rows.x, batch_byte(column))] = hi;
      tile[swizzled<64>(rows.y, batch_byte(column))] = lo;
    } else {
      auto* bytes = reinterpret_cast<unsigned char*>(to.tiled.bytes + at * 8) + tile_byte(column);
      bytes[0] = hi;
      bytes[64] = lo;
    }
  }
  if (lane != 0) return;
  if (to.bytes.bytes)
    to.bytes.scales[static_cast<long long>(number) * to.bytes.columns + row] = group.scales;
  else
    to.tiled.scales[at] = group.scales;
}

/// `sum` as three 16-bit numbers that add up to it, 16 columns apart in a row of a tile of sums.
template <Element Type>
__device__ inline void put_sum(unsigned char* tile, int row, int column, float sum) {
#pragma unroll
  for (int piece = 0; piece < 3; ++piece) {
    unsigned short bits;
    float taken;
    if constexpr (Type == Element::kBF16) {
      const __nv_bfloat16 rounded = __float2bfloat16_rn(sum);
      bits = __bfloat16_as_ushort(rounded);
      taken = __bfloat162float(rounded);
    } else {
      const __half rounded = __float2half_rn(sum);
      bits = __half_as_ushort(rounded);
      taken = __half2float(rounded);
    }
    sum -= taken;
    *reinterpret_cast<unsigned short*>(
        tile + swizzled<128>(row, (piece * kSumGroups + column) * 2)) = bits;
  }
}

/// The largest number of a row, and whether all of it is finite, from what each thread has seen.
/// All threads of a block of kRowWarps warps call it. `shared`: 32 floats.
template <int kRowWarps>
__device__ inline float row_largest(float largest, bool& finite, float* shared) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  largest = warp_max(largest);
  if (lane == 0) shared[warp] = largest;
  finite = __syncthreads_and(finite);
  return warp_max(lane < kRowWarps ? shared[lane] : 0.0f);
}

/// A row as halves: a warp a group, lane l the columns l and l + 32. `from`: global or shared.
template <Element Type, int kRowWarps>
__device__ inline void put_halves(const HalfTiles& to, int row, int cols, const float* from,
                                  float largest, bool finite) {
  const int tid = static_cast<int>(threadIdx.x);
  const int warp = tid / 32;
  const int lane = tid % 32;
  int exponent = 0;
  frexpf(fmaxf(largest, 0x1p-100f), &exponent);  // largest < 2^exponent
  const float factor = finite ? ldexpf(1.0f, 15 - exponent) : __int_as_float(0x7fc00000);
  if (tid == 0) to.factors[row] = ldexpf(1.0f, exponent - 15);
  const int groups = cols / kTileGroup;
  const int tile_row = row % kHalfTileRows;
  const long long tiles = static_cast<long long>(row / kHalfTileRows) * groups;
  // In eight columns the nibbles 0 and 4, 1 and 5, ... meet as pairs; odd ones stand 2^4 higher.
  const int nibble = lane % 8;
  const int t = lane / 8;
  const int half = nibble / 2 % 2 * 16 + nibble % 2 * 8 + t * 2 + nibble / 4;
  const float raise = nibble % 2 ? 0.0625f : 1.0f;
  const int sum_tiles = (groups + kSumGroups - 1) / kSumGroups;
  unsigned char* sums =
      to.sums + static_cast<long long>(row / kHalfTileRows) * sum_tiles * kHalfTileRows * 128;
  // Eight groups a warp, all loads before the first use; lane i gets the sum of group i.
  for (int first = warp * 8; first < sum_tiles * kSumGroups; first += kRowWarps * 8) {
    float values[8][2];
#pragma unroll
    for (int g = 0; g < 8; ++g)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        values[g][i] =
            first + g < groups ? from[(first + g) * kTileGroup + i * 32 + lane] * factor : 0.0f;
    float own_sum = 0.0f;
#pragma unroll
    for (int g = 0; g < 8; ++g) {
      if (first + g >= groups) break;
      unsigned char* tile = to.halves + (tiles + first + g) * kHalfTileRows * 128;
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const __half rounded = __float2half_rn(values[g][i]);
        const __half stored = __float2half_rn(__half2float(rounded) * raise);
        *reinterpret_cast<__half*>(tile + swizzled<128>(tile_row, (i * 32 + half) * 2)) = stored;
        sum += __half2float(stored) * (nibble % 2 ? 16.0f : 1.0f);
      }
      sum = warp_sum(sum);
      if (lane == g) own_sum = sum;
    }
    if (lane < 8)
      put_sum<Type>(sums + first / kSumGroups * kHalfTileRows * 128, tile_row,
                    first % kSumGroups + lane, own_sum * kSumScale);
  }
}

}  // namespace bobby::cuda
