// What NEON's kernels share: levels as bytes, scales as numbers, the last sum.
#pragma once

#include <arm_neon.h>

#include "backends/cpu/linear/kernels.h"

#define BOBBY_VECTORS_IN_REGISTERS
#include "backends/cpu/linear/unroll.h"

namespace bobby::cpu {
namespace {

/// Sixteen sums to one, as kernels.h folds them.
inline float fold_sixteen(const float32x4_t* sums) {
  const float32x4_t four = vaddq_f32(vaddq_f32(sums[0], sums[2]), vaddq_f32(sums[1], sums[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

// ---- Levels ---------------------------------------------------------------------------------

/// Columns that are unpacked together: those of the smallest group. They come as the even ones,
/// then the odd ones, the order in which the halves of bytes fall apart; x is packed in that order.
constexpr int kUnit = 32;

/// How pairs of values of kBits bits each, a little-endian bit string from byte kFirst on, come to
/// stand in a lane of their own: sixteen of 3 bits in bytes, each from the byte that holds its
/// first bit and the next; eight of 5 or 6 bits in words, each from two bytes.
template <int kBits, int kFirst>
struct PairTables {
  alignas(16) std::uint8_t low[16] = {};
  alignas(16) std::int8_t down[16] = {};
  alignas(16) std::uint8_t high[16] = {};
  alignas(16) std::int8_t up[16] = {};
  alignas(16) std::uint8_t word[16] = {};
  alignas(16) std::int16_t word_down[8] = {};

  constexpr PairTables() {
    for (int i = 0; i < 16; ++i) {
      const int bit = i * 2 * kBits;
      low[i] = static_cast<std::uint8_t>(kFirst + bit / 8);
      high[i] = static_cast<std::uint8_t>(kFirst + bit / 8 + 1);
      down[i] = static_cast<std::int8_t>(-(bit % 8));
      up[i] = static_cast<std::int8_t>(8 - bit % 8);
      if (i >= 8) continue;
      word[2 * i] = low[i];
      word[2 * i + 1] = high[i];
      word_down[i] = down[i];
    }
  }
};
template <int kBits, int kFirst>
constexpr PairTables<kBits, kFirst> kPairTables;

/// Sixteen pairs of 3 bits, whose bytes have bits of other pairs on top.
inline uint8x16_t pairs_of_threes(uint8x16_t string) {
  const PairTables<3, 0>& t = kPairTables<3, 0>;
  const uint8x16_t low = vshlq_u8(vqtbl1q_u8(string, vld1q_u8(t.low)), vld1q_s8(t.down));
  const uint8x16_t high = vshlq_u8(vqtbl1q_u8(string, vld1q_u8(t.high)), vld1q_s8(t.up));
  return vorrq_u8(low, high);
}

/// Eight pairs of 5 or 6 bits, as above.
template <int kBits, int kFirst>
inline uint16x8_t pairs(uint8x16_t string) {
  const PairTables<kBits, kFirst>& t = kPairTables<kBits, kFirst>;
  return vshlq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(string, vld1q_u8(t.word))),
                   vld1q_s16(t.word_down));
}

/// The levels of one unit, from the 4 * kBits bytes at `from`: val[0] of the even columns, val[1]
/// of the odd ones.
template <int kBits>
inline uint8x16x2_t unpack(const unsigned char* from) {
  if constexpr (kBits == 8) {
    return vld2q_u8(from);
  } else if constexpr (kBits == 4) {
    const uint8x16_t pairs = vld1q_u8(from);
    return {{vandq_u8(pairs, vdupq_n_u8(15)), vshrq_n_u8(pairs, 4)}};
  } else if constexpr (kBits == 2) {
    const uint8x8_t fours = vld1_u8(from);
    const uint8x16_t all = vcombine_u8(fours, fours);
    const uint8x16_t twice = vzip1q_u8(all, all);
    const int8x16_t even = vreinterpretq_s8_s16(vdupq_n_s16(static_cast<std::int16_t>(0xfc00)));
    const int8x16_t odd = vreinterpretq_s8_s16(vdupq_n_s16(static_cast<std::int16_t>(0xfafe)));
    const uint8x16_t mask = vdupq_n_u8(3);
    return {{vandq_u8(vshlq_u8(twice, even), mask), vandq_u8(vshlq_u8(twice, odd), mask)}};
  } else if constexpr (kBits == 3) {
    std::uint64_t low;
    std::uint32_t high;
    __builtin_memcpy(&low, from, sizeof low);
    __builtin_memcpy(&high, from + 8, sizeof high);
    const uint8x16_t both = pairs_of_threes(vcombine_u8(vcreate_u8(low), vcreate_u8(high)));
    const uint8x16_t mask = vdupq_n_u8(7);
    return {{vandq_u8(both, mask), vandq_u8(vshrq_n_u8(both, 3), mask)}};
  } else {
    constexpr int kSecond = 4 * kBits - 16;  // where sixteen bytes with the second half begin
    const uint16x8_t first = pairs<kBits, 0>(vld1q_u8(from));
    const uint16x8_t second = pairs<kBits, 2 * kBits - kSecond>(vld1q_u8(from + kSecond));
    const uint8x16_t even = vuzp1q_u8(vreinterpretq_u8_u16(first), vreinterpretq_u8_u16(second));
    const uint8x16_t odd = vshrn_high_n_u16(vshrn_n_u16(first, kBits), second, kBits);
    const uint8x16_t mask = vdupq_n_u8((1 << kBits) - 1);
    return {{vandq_u8(even, mask), vandq_u8(odd, mask)}};
  }
}

// ---- Scales ---------------------------------------------------------------------------------

/// Four scales or biases.
inline float32x4_t four_scales(const unsigned char* from, int type) {
  if (type == kF32) return vreinterpretq_f32_u8(vld1q_u8(from));
  const uint16x4_t bits = vreinterpret_u16_u8(vld1_u8(from));
  if (type == kF16) return vcvt_f32_f16(vreinterpret_f16_u16(bits));
  return vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
}

/// The first `count` of them, at most four, and zeros.
inline float32x4_t some_scales(const unsigned char* from, int type, int count) {
  if (count == 4) return four_scales(from, type);
  alignas(16) unsigned char copy[16] = {};
  const int size = type == kF32 ? 4 : 2;
  for (int i = 0; i < count; ++i) {
    __builtin_memcpy(copy + i * size, from + i * size, 2);
    if (size == 4) __builtin_memcpy(copy + i * size + 2, from + i * size + 2, 2);
  }
  return four_scales(copy, type);
}

}  // namespace
}  // namespace bobby::cpu
