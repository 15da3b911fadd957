// How bytes of weights meet bytes of x, for processors with the dot product instructions: see
// neon_rows.h (D) and neon_tiles.h (T).
#pragma once

#include "backends/cpu/linear/neon_dense.h"
#include "backends/cpu/linear/neon_rows.h"
#include "backends/cpu/linear/neon_tiles.h"

namespace bobby::cpu {
namespace {

/// H of sums over a q15 value's parts.
inline int32x4_t both_parts(int32x4_t high, int32x4_t low) {
  return vmlaq_s32(low, high, vdupq_n_s32(128));
}

/// Levels as signed bytes: those of 8 bits less 128.
template <int kBits>
inline int8x16_t signed_levels(uint8x16_t levels) {
  if constexpr (kBits == 8) levels = veorq_u8(levels, vdupq_n_u8(128));
  return vreinterpretq_s8_u8(levels);
}

struct SignedRows {
  static constexpr bool kBytes = true;
  static constexpr bool kSignedLevels = true;

  template <int kBits>
  [[gnu::always_inline]] static int32x4_t add(int32x4_t sum, const uint8x16x2_t& levels,
                                              const std::int8_t* x) {
    sum = vdotq_s32(sum, signed_levels<kBits>(levels.val[0]), vld1q_s8(x));
    return vdotq_s32(sum, signed_levels<kBits>(levels.val[1]), vld1q_s8(x + 16));
  }
};

/// Blocks of x for tiles of bytes.
struct ByteBlocks {
  static constexpr int kWeightBytes = 1;
  template <int kParts>
  static constexpr int kXBytes = kParts;
  template <int kParts>
  static constexpr int kBlock = 8 / kParts;

  /// The group in pieces of kStep columns: [piece][part][row][kStep] with kPartsApart, otherwise
  /// [piece][row][part][kStep].
  template <int kStep, bool kPartsApart>
  static void put(const std::int16_t* q, int size, int row, int parts, std::int8_t* to) {
    const int rows = 8 / parts;
    for (int part = 0; part < parts; ++part) {
      alignas(16) std::int8_t bytes[128];
      for (int i = 0; i < size; i += 16) {
        vst1q_s8(bytes + i, parts == 1  ? as_bytes(q + i)
                            : part == 0 ? high_parts(q + i)
                                        : low_parts(q + i));
      }
      const int at = kPartsApart ? part * rows + row : row * parts + part;
      for (int i = 0; i < size; i += kStep) {
        __builtin_memcpy(to + i * 8 + at * kStep, bytes + i, kStep);
      }
    }
  }
};

/// Four columns of four rows of the weight in a register, times four columns of one row of x.
struct DotTiles : ByteBlocks {
  static constexpr bool kSignedLevels = true;

  static void put(const std::int16_t* q, int size, int row, int parts, std::int8_t* to) {
    ByteBlocks::put<4, true>(q, size, row, parts, to);
  }

  template <int kBits>
  [[gnu::always_inline]] static void store_unit(const uint8x16x2_t* levels, const Panel& panel,
                                                std::int64_t unit) {
    for (int half = 0; half < 2; ++half) {
      unsigned char* to = panel.levels + half * panel.half_levels + unit * kUnit * 4;
      for (int odd = 0; odd < 2; ++odd) {
        uint32x4x4_t rows;
        for (int r = 0; r < 4; ++r) {
          rows.val[r] = vreinterpretq_u32_s8(signed_levels<kBits>(levels[4 * half + r].val[odd]));
        }
        vst4q_u32(reinterpret_cast<std::uint32_t*>(to + odd * 64), rows);
      }
    }
  }

  template <int kParts, int kX, int kRow = 0>
  [[gnu::always_inline]] static void add_rows(int32x4_t (*sums)[2][kParts], int8x16_t first,
                                              int8x16_t second, const int8x16_t* x) {
    for (int i = 0; i < kParts; ++i) {
      const int8x16_t values = kParts == 2 ? x[i] : x[kRow / 4];
      sums[kRow][0][i] = vdotq_laneq_s32(sums[kRow][0][i], first, values, kRow % 4);
      sums[kRow][1][i] = vdotq_laneq_s32(sums[kRow][1][i], second, values, kRow % 4);
    }
    if constexpr (kRow + 1 < kX) add_rows<kParts, kX, kRow + 1>(sums, first, second, x);
  }

  template <int kGroup, int kParts, int kX>
  [[gnu::always_inline]] static void group_sums(const Panel& panel, std::int64_t group,
                                                const std::int8_t* x, int32x4_t (*h)[2]) {
    int32x4_t sums[kX][2][kParts];
    BOBBY_UNROLL(8)
    for (int m = 0; m < kX; ++m) {
      for (int i = 0; i < kParts; ++i) sums[m][0][i] = sums[m][1][i] = vdupq_n_s32(0);
    }
    const auto* first = reinterpret_cast<const std::int8_t*>(panel.levels) + group * kGroup * 4;
    const std::int8_t* second = first + panel.half_levels;
    BOBBY_UNROLL(4)
    for (int i = 0; i < kGroup; i += 4) {
      const int8x16_t values[2] = {vld1q_s8(x + i * 8), vld1q_s8(x + i * 8 + 16)};
      add_rows<kParts, kX>(sums, vld1q_s8(first + i * 4), vld1q_s8(second + i * 4), values);
    }
    BOBBY_UNROLL(8)
    for (int m = 0; m < kX; ++m) {
      for (int half = 0; half < 2; ++half) {
        h[m][half] = kParts == 2 ? both_parts(sums[m][half][0], sums[m][half][kParts - 1])
                                 : sums[m][half][0];
      }
    }
  }
};

}  // namespace
}  // namespace bobby::cpu
