// AArch64's NEON as every such processor has it: levels and x are multiplied as 16-bit words.
#include "backends/cpu/linear/neon_dense.h"
#include "backends/cpu/linear/neon_rows.h"
#include "backends/cpu/linear/neon_tiles.h"

namespace bobby::cpu {
namespace {

inline int16x8_t low_words(uint8x16_t bytes) {
  return vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
}
inline int16x8_t high_words(uint8x16_t bytes) {
  return vreinterpretq_s16_u16(vmovl_high_u8(bytes));
}

struct WordRows {
  static constexpr bool kBytes = false;
  static constexpr bool kSignedLevels = false;

  template <int kBits>
  [[gnu::always_inline]] static int32x4_t add(int32x4_t sum, const uint8x16x2_t& levels,
                                              const std::int8_t* x) {
    const auto* words = reinterpret_cast<const std::int16_t*>(x);
    for (int odd = 0; odd < 2; ++odd, words += 16) {
      const int16x8_t weights[2] = {low_words(levels.val[odd]), high_words(levels.val[odd])};
      for (int i = 0; i < 2; ++i) {
        const int16x8_t q = vld1q_s16(words + 8 * i);
        sum = vmlal_s16(sum, vget_low_s16(weights[i]), vget_low_s16(q));
        sum = vmlal_high_s16(sum, weights[i], q);
      }
    }
    return sum;
  }
};

/// Two columns of four rows of the weight in a register, times a column of one row of x each.
struct WordTiles {
  static constexpr int kWeightBytes = 2;
  static constexpr bool kSignedLevels = false;
  template <int kParts>
  static constexpr int kXBytes = kParts;
  template <int kParts>
  static constexpr int kBlock = 8;

  static void put(const std::int16_t* q, int size, int row, int parts, std::int8_t* to) {
    if (parts == 1) {
      for (int i = 0; i < size; ++i) to[i * 8 + row] = static_cast<std::int8_t>(q[i]);
    } else {
      for (int i = 0; i < size; ++i) __builtin_memcpy(to + (i * 8 + row) * 2, q + i, 2);
    }
  }

  template <int kBits>
  [[gnu::always_inline]] static void store_unit(const uint8x16x2_t* levels, const Panel& panel,
                                                std::int64_t unit) {
    for (int half = 0; half < 2; ++half) {
      auto* to = reinterpret_cast<std::int16_t*>(panel.levels + half * panel.half_levels) +
                 unit * kUnit * 4;
      for (int odd = 0; odd < 2; ++odd, to += 64) {
        int16x8x4_t low;
        int16x8x4_t high;
        for (int r = 0; r < 4; ++r) {
          low.val[r] = low_words(levels[4 * half + r].val[odd]);
          high.val[r] = high_words(levels[4 * half + r].val[odd]);
        }
        vst4q_s16(to, low);
        vst4q_s16(to + 32, high);
      }
    }
  }

  template <int kParts>
  static int16x8_t column(const std::int8_t* x) {
    if constexpr (kParts == 1) return vmovl_s8(vld1_s8(x));
    return vld1q_s16(reinterpret_cast<const std::int16_t*>(x));
  }

  template <int kX, int kRow = 0>
  [[gnu::always_inline]] static void add_rows(int32x4_t (*h)[2], const int16x8_t* weights,
                                              const int16x8_t* x) {
    for (int half = 0; half < 2; ++half) {
      h[kRow][half] = vmlal_laneq_s16(h[kRow][half], vget_low_s16(weights[half]), x[0], kRow);
      h[kRow][half] = vmlal_high_laneq_s16(h[kRow][half], weights[half], x[1], kRow);
    }
    if constexpr (kRow + 1 < kX) add_rows<kX, kRow + 1>(h, weights, x);
  }

  template <int kGroup, int kParts, int kX>
  [[gnu::always_inline]] static void group_sums(const Panel& panel, std::int64_t group,
                                                const std::int8_t* x, int32x4_t (*h)[2]) {
    BOBBY_UNROLL(8)
    for (int m = 0; m < kX; ++m) h[m][0] = h[m][1] = vdupq_n_s32(0);
    const auto* first = reinterpret_cast<const std::int16_t*>(panel.levels) + group * kGroup * 4;
    const auto* second = reinterpret_cast<const std::int16_t*>(panel.levels + panel.half_levels) +
                         group * kGroup * 4;
    BOBBY_UNROLL(2)
    for (int i = 0; i < kGroup; i += 2) {
      const int16x8_t weights[2] = {vld1q_s16(first + i * 4), vld1q_s16(second + i * 4)};
      const int16x8_t values[2] = {column<kParts>(x + i * 8 * kParts),
                                   column<kParts>(x + (i + 1) * 8 * kParts)};
      add_rows<kX>(h, weights, values);
    }
  }
};

}  // namespace

const LinearKernels kNeonKernels = {"neon", false, pack_row<false>, quant<WordRows>, no_scratch,
                                    dense,  lora};
const TileKernels kNeonTiles = {3, pack_tile<WordTiles>, quant_tiles<WordTiles>,
                                tile_scratch<WordTiles>};

}  // namespace bobby::cpu
