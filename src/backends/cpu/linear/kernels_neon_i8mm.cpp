// NEON with FEAT_DotProd and FEAT_I8MM: two rows of the weight times two rows of bytes of x, which
// for q15 are the two parts of one row, thirty-two products an instruction; and levels of 8 bits
// without a sign.
#include "backends/cpu/linear/neon_bytes.h"

namespace bobby::cpu {
namespace {

struct MixedRows {
  static constexpr bool kBytes = true;
  static constexpr bool kSignedLevels = false;

  template <int kBits>
  [[gnu::always_inline]] static int32x4_t add(int32x4_t sum, const uint8x16x2_t& levels,
                                              const std::int8_t* x) {
    sum = vusdotq_s32(sum, levels.val[0], vld1q_s8(x));
    return vusdotq_s32(sum, levels.val[1], vld1q_s8(x + 16));
  }
};

struct MatrixTiles : ByteBlocks {
  static constexpr bool kSignedLevels = false;

  static void put(const std::int16_t* q, int size, int row, int parts, std::int8_t* to) {
    ByteBlocks::put<8, false>(q, size, row, parts, to);
  }

  /// A panel is [eight columns][pair of rows][2][8].
  template <int kBits>
  [[gnu::always_inline]] static void store_unit(const uint8x16x2_t* levels, const Panel& panel,
                                                std::int64_t unit) {
    unsigned char* to = panel.levels + unit * kUnit * kPanelRows;
    for (int pair = 0; pair < 4; ++pair, to += 16) {
      for (int odd = 0; odd < 2; ++odd) {
        const uint64x2_t first = vreinterpretq_u64_u8(levels[2 * pair].val[odd]);
        const uint64x2_t second = vreinterpretq_u64_u8(levels[2 * pair + 1].val[odd]);
        vst1q_u8(to + odd * 128, vreinterpretq_u8_u64(vtrn1q_u64(first, second)));
        vst1q_u8(to + odd * 128 + 64, vreinterpretq_u8_u64(vtrn2q_u64(first, second)));
      }
    }
  }

  /// Rows of bytes of x are taken by twos: kTwos of them.
  template <int kGroup, int kParts, int kX>
  [[gnu::always_inline]] static void group_sums(const Panel& panel, std::int64_t group,
                                                const std::int8_t* x, int32x4_t (*h)[2]) {
    constexpr int kTwos = kX * kParts / 2;
    int32x4_t sums[kTwos][4];
    BOBBY_UNROLL(4)
    for (int m = 0; m < kTwos; ++m) {
      for (int pair = 0; pair < 4; ++pair) sums[m][pair] = vdupq_n_s32(0);
    }
    const unsigned char* levels = panel.levels + group * kGroup * kPanelRows;
    BOBBY_UNROLL(2)
    for (int i = 0; i < kGroup * 8; i += 64) {
      int8x16_t two[kTwos];
      for (int m = 0; m < kTwos; ++m) two[m] = vld1q_s8(x + i + m * 16);
      BOBBY_UNROLL(4)
      for (int pair = 0; pair < 4; ++pair) {
        const uint8x16_t rows = vld1q_u8(levels + i + pair * 16);
        BOBBY_UNROLL(4)
        for (int m = 0; m < kTwos; ++m) {
          sums[m][pair] = vusmmlaq_s32(sums[m][pair], rows, two[m]);
        }
      }
    }
    BOBBY_UNROLL(4)
    for (int m = 0; m < kTwos; ++m) {
      for (int half = 0; half < 2; ++half) {
        const int32x4_t first = vuzp1q_s32(sums[m][2 * half], sums[m][2 * half + 1]);
        const int32x4_t second = vuzp2q_s32(sums[m][2 * half], sums[m][2 * half + 1]);
        if constexpr (kParts == 2) {
          h[m][half] = both_parts(first, second);
        } else {
          h[2 * m][half] = first;
          h[2 * m + 1][half] = second;
        }
      }
    }
  }
};

}  // namespace

const LinearKernels kNeonI8mmKernels = {
    "neon-i8mm", true, pack_row<true>, quant<MixedRows>, no_scratch, dense, lora};
const TileKernels kNeonI8mmTiles = {2, pack_tile<MatrixTiles>, quant_tiles<MatrixTiles>,
                                    tile_scratch<MatrixTiles>};

}  // namespace bobby::cpu
