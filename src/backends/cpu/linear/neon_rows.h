// Quantised products of rows of x one by one: rows of the weight two at a time, which share the
// loads of x, four groups at a time, whose sums stand in the lanes of one register. The sums are
// those that kernels.h states, to the bit.
//
// D says how a unit's levels meet x:
//   kBytes                       x in bytes (of which a column has kParts) or in words
//   add<kBits>(sum, levels, x)   one unit's products, with one part of x; four lanes add up to H,
//   or kSignedLevels                with 8 bits to H - 128 * sum(q): levels are taken as signed,
//   less 128
#pragma once

#include "backends/cpu/linear/neon_pack.h"
#include "backends/cpu/linear/neon_vectors.h"

namespace bobby::cpu {
namespace {

constexpr int kQuad = 4;  // groups that are summed together

/// H of four groups of kW rows of the weight.
template <class D, int kBits, int kGroup, int kParts, int kW>
[[gnu::always_inline]] inline void quad_sums(const unsigned char* const* weight,
                                             const std::int8_t* x, int32x4_t* h) {
  constexpr int kPartBytes = D::kBytes ? kUnit : 2 * kUnit;  // of a unit of x
  constexpr int kUnits = kGroup / kUnit;
  int32x4_t totals[kW][kQuad];
  BOBBY_UNROLL(4)
  for (int g = 0; g < kQuad; ++g) {
    uint8x16x2_t levels[kW][kUnits];
    BOBBY_UNROLL(2)
    for (int w = 0; w < kW; ++w) {
      BOBBY_UNROLL(4)
      for (int i = 0; i < kUnits; ++i) {
        levels[w][i] = unpack<kBits>(weight[w] + (g * kUnits + i) * kUnit * kBits / 8);
      }
      totals[w][g] = vdupq_n_s32(0);
    }
    BOBBY_UNROLL(2)
    for (int part = 0; part < kParts; ++part) {
      BOBBY_UNROLL(4)
      for (int i = 0; i < kUnits; ++i) {
        BOBBY_UNROLL(2)
        for (int w = 0; w < kW; ++w) {
          totals[w][g] = D::template add<kBits>(
              totals[w][g], levels[w][i], x + ((g * kUnits + i) * kParts + part) * kPartBytes);
        }
      }
      BOBBY_UNROLL(2)
      for (int w = 0; w < kW && part + 1 < kParts; ++w) {  // 128 * high, then low on top
        totals[w][g] = vshlq_n_s32(totals[w][g], 7);
      }
    }
    asm volatile("" ::: "memory");  // keeps GCC from mixing groups until registers run out
  }
  BOBBY_UNROLL(2)
  for (int w = 0; w < kW; ++w) {
    const int32x4_t* t = totals[w];
    h[w] = vpaddq_s32(vpaddq_s32(t[0], t[1]), vpaddq_s32(t[2], t[3]));
  }
}

/// Where kW rows of the weight and one of x are being read.
template <int kW>
struct RowsAt {
  const unsigned char* levels[kW];
  const unsigned char* scales[kW];
  const unsigned char* biases[kW];
  const std::int8_t* q;
  const float* x_scale;
  const float* x_sum;
};

/// Adds four groups, of which `count` are there, to four of each row's sums.
template <class D, int kBits, int kGroup, int kParts, int kW, bool kWhole>
[[gnu::always_inline]] inline void add_quad(int scale_type, const RowsAt<kW>& at, int count,
                                            float* const* sums) {
  constexpr int kQuadBytes = kQuad * kGroup * kBits / 8;
  const unsigned char* levels[kW];
  alignas(16) unsigned char copy[kWhole ? 1 : kW][kQuadBytes];
  BOBBY_UNROLL(2)
  for (int w = 0; w < kW; ++w) {
    levels[w] = at.levels[w];
    if constexpr (!kWhole) {  // nothing past the row is read
      __builtin_memset(copy[w], 0, kQuadBytes);
      __builtin_memcpy(copy[w], at.levels[w], count * kGroup * kBits / 8);
      levels[w] = copy[w];
    }
  }
  int32x4_t h[kW];
  quad_sums<D, kBits, kGroup, kParts, kW>(levels, at.q, h);
  const float32x4_t x_scale = vld1q_f32(at.x_scale);
  const float32x4_t x_sum = vld1q_f32(at.x_sum);
  BOBBY_UNROLL(2)
  for (int w = 0; w < kW; ++w) {
    if constexpr (D::kSignedLevels && kBits == 8) {
      h[w] = vaddq_s32(h[w], level_offset(x_scale, x_sum));
    }
    const float32x4_t scale = some_scales(at.scales[w], scale_type, kWhole ? kQuad : count);
    const float32x4_t bias = some_scales(at.biases[w], scale_type, kWhole ? kQuad : count);
    const float32x4_t product =
        vfmaq_f32(vld1q_f32(sums[w]), vmulq_f32(scale, x_scale), vcvtq_f32_s32(h[w]));
    vst1q_f32(sums[w], vfmaq_f32(product, bias, x_sum));
  }
}

/// Rows [row, row + kW) of the weight times the row of x.
template <class D, int kBits, int kGroup, int kParts, int kW>
void row_products(const QuantArgs& a, std::int64_t row) {
  constexpr int kColumnBytes = D::kBytes ? kParts : 2;
  const int scale_bytes = a.scale_type == kF32 ? 4 : 2;
  RowsAt<kW> at;
  alignas(64) float acc[kW][kChunkGroups] = {};  // of group g in lane g mod 16
  float* sums[kW];
  BOBBY_UNROLL(2)
  for (int w = 0; w < kW; ++w) {
    at.levels[w] = a.weight + (row + w) * a.weight_stride;
    at.scales[w] = a.scales + (row + w) * a.scale_stride;
    at.biases[w] = a.biases + (row + w) * a.scale_stride;
    sums[w] = acc[w];
  }
  at.q = static_cast<const std::int8_t*>(a.q);
  at.x_scale = a.x_scale;
  at.x_sum = a.x_sum;

  std::int64_t g = 0;
  for (; g + kQuad <= a.groups; g += kQuad) {
    add_quad<D, kBits, kGroup, kParts, kW, true>(a.scale_type, at, kQuad, sums);
    BOBBY_UNROLL(2)
    for (int w = 0; w < kW; ++w) {
      at.levels[w] += kQuad * kGroup * kBits / 8;
      at.scales[w] += kQuad * scale_bytes;
      at.biases[w] += kQuad * scale_bytes;
      sums[w] = acc[w] + (g + kQuad) % kChunkGroups;
    }
    at.q += kQuad * kGroup * kColumnBytes;
    at.x_scale += kQuad;
    at.x_sum += kQuad;
  }
  if (g < a.groups) {
    add_quad<D, kBits, kGroup, kParts, kW, false>(a.scale_type, at, static_cast<int>(a.groups - g),
                                                  sums);
  }
  for (int w = 0; w < kW; ++w) {
    const float32x4_t last[4] = {vld1q_f32(acc[w]), vld1q_f32(acc[w] + 4), vld1q_f32(acc[w] + 8),
                                 vld1q_f32(acc[w] + 12)};
    a.out[row + w] = fold_sixteen(last);
  }
}

template <class D, int kBits, int kGroup, int kParts>
void all_rows(const QuantArgs& a) {
  std::int64_t row = 0;
  for (; row + 2 <= a.rows; row += 2) row_products<D, kBits, kGroup, kParts, 2>(a, row);
  if (row < a.rows) row_products<D, kBits, kGroup, kParts, 1>(a, row);
}

template <class D, int kBits, int kGroup>
void rows_of_level(const QuantArgs& a) {
  if constexpr (D::kBytes) {
    if (!a.int8) return all_rows<D, kBits, kGroup, 2>(a);
  }
  all_rows<D, kBits, kGroup, 1>(a);
}

template <class D, int kBits>
void rows_of_group(const QuantArgs& a) {
  switch (a.group_size) {
    case 32: return rows_of_level<D, kBits, 32>(a);
    case 64: return rows_of_level<D, kBits, 64>(a);
    default: return rows_of_level<D, kBits, 128>(a);
  }
}

template <class D>
void one_row(const QuantArgs& a) {
  switch (a.bits) {
    case 2: return rows_of_group<D, 2>(a);
    case 3: return rows_of_group<D, 3>(a);
    case 4: return rows_of_group<D, 4>(a);
    case 5: return rows_of_group<D, 5>(a);
    case 6: return rows_of_group<D, 6>(a);
    default: return rows_of_group<D, 8>(a);
  }
}

template <class D>
void quant(const QuantArgs& a) {
  const std::int64_t q_stride = a.padded_groups * a.group_size * (a.bytes ? 1 : 2);
  for (std::int64_t m = 0; m < a.x_rows; ++m) {
    QuantArgs one = a;
    one.q = static_cast<const std::int8_t*>(a.q) + m * q_stride;
    one.x_scale += m * a.padded_groups;
    one.x_sum += m * a.padded_groups;
    one.out += m * a.out_stride;
    one_row<D>(one);
  }
}

std::size_t no_scratch(const QuantArgs&) {
  return 0;
}

}  // namespace
}  // namespace bobby::cpu
