#pragma once

// What every kernel on weights in tile order shares: q15, fragments, the order of sums.

#include "backends/cuda/linear_kernels.cuh"
#include "backends/cuda/tile_order.h"

namespace bobby::cuda {

inline constexpr int kLevel = 16383;  // q15: what the largest number of a group becomes

/// A group's scale of q15 and its inverse; a group with a number that is not finite is NaN.
struct Q15 {
  float scale;
  float inverse;  ///< 0: not finite
};

/// Both quotients are the nearest fp32, as a division gives them, without its slow path: a quotient
/// corrected by its remainder, found so for every significand of `largest`.
__device__ inline Q15 q15_of(float largest, bool finite) {
  constexpr float kLevels = kLevel;
  constexpr float kStep = 1.0f / kLevels;
  largest = fmaxf(largest, 0x1p-100f);
  float scale = largest * kStep;
  scale = fmaf(fmaf(-scale, kLevels, largest), kStep, scale);
  float reciprocal;
  asm("rcp.approx.f32 %0, %1;" : "=f"(reciprocal) : "f"(largest));
  reciprocal = fmaf(reciprocal, fmaf(-largest, reciprocal, 1.0f), reciprocal);
  float inverse = kLevels * reciprocal;
  inverse = fmaf(fmaf(-inverse, largest, kLevels), reciprocal, inverse);
  return {finite ? scale : __int_as_float(0x7fc00000), finite ? inverse : 0.0f};
}

__device__ inline int q15(float value, float inverse) {
  return inverse != 0.0f ? __float2int_rn(value * inverse) : 0;
}

/// c += a b with a [16, 32] levels, b [32, 8] signed bytes, c [16, 8] integers.
__device__ inline void multiply_tile(int (&c)[4], const unsigned (&a)[4], unsigned b0,
                                     unsigned b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// The two fragments of a lane's four words.
struct Levels {
  unsigned first[4], second[4];
  __device__ explicit Levels(uint4 words) {
    constexpr unsigned kLow = 0x0f0f0f0fu;
    first[0] = words.x & kLow;
    first[1] = words.y & kLow;
    first[2] = (words.x >> 4) & kLow;
    first[3] = (words.y >> 4) & kLow;
    second[0] = words.z & kLow;
    second[1] = words.w & kLow;
    second[2] = (words.z >> 4) & kLow;
    second[3] = (words.w >> 4) & kLow;
  }
};

/// Scale and bias of one row and group, from the 32 bits that a record holds.
template <Element Type>
__device__ inline float2 scale_and_bias(unsigned pair) {
  if constexpr (Type == Element::kBF16) {
    return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
  } else {
    return __half22float2(*reinterpret_cast<const __half2*>(&pair));
  }
}

/// What a group adds to an output: see tile_order.h. The one place of this rounding.
__device__ inline float add_group(float sum, float product, float2 weight, float2 x) {
  sum = fmaf(weight.x * x.x, product, sum);
  return fmaf(weight.y, x.y, sum);
}

/// Eight numbers of a weight in tile order: those that share a word with a column.
template <Element Type>
struct TiledEight {
  unsigned levels;  // a nibble each
  float2 pair;      // scale and bias

  __device__ TiledEight(const unsigned char* tiles, int cols, long long row, int column) {
    const int groups = cols / kTileGroup;
    const unsigned char* record =
        tiles + (row / kTileRows * groups + column / kTileGroup) * kTileRecordBytes;
    const int quad = static_cast<int>(row % 8);
    const int below = static_cast<int>(row % kTileRows) / 8;
    const int in_group = column % kTileGroup;
    levels = reinterpret_cast<const unsigned*>(
        record)[(quad * 4 + in_group % 32 / 8) * 4 + in_group / 32 * 2 + below];
    pair = scale_and_bias<Type>(
        reinterpret_cast<const unsigned*>(record + kTileLevelBytes)[quad * 2 + below]);
  }
  __device__ float operator[](int i) const {
    return pair.x * static_cast<float>(levels >> (i * 4) & 15u) + pair.y;
  }
};

/// One number of a weight in tile order.
template <Element Type>
__device__ inline float tiled_number(const unsigned char* tiles, int cols, long long row,
                                     int column) {
  return TiledEight<Type>(tiles, cols, row, column)[column % 8];
}

}  // namespace bobby::cuda
