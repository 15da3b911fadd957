// Activations of NEON kernels. As rows: unit after unit (kUnit columns,
// the even ones first), as 16-bit words or as bytes: for q15 the high parts, then the low ones (a
// value is 128 * high + low, the low part from 0 to 127), for int8 the values. In tiles: see
// neon_tiles.h.
#pragma once

#include "backends/cpu/linear/neon_vectors.h"
#include "backends/cpu/linear/quantize_group.h"

namespace bobby::cpu {
namespace {

/// One group, quantised: its values unit after unit, in the units' order.
struct PackedGroup {
  alignas(64) std::int16_t q[128];
  float scale;
  float sum;
};

inline void quantize(const float* x, int group_size, int level, PackedGroup& out) {
  const GroupQuantizer quantizer = group_quantizer(x, group_size, static_cast<float>(level));
  std::int32_t sum = 0;
  if (quantizer.inverse == 0.0f) {
    __builtin_memset(out.q, 0, sizeof out.q);
  } else {
    sum = quantize_group(x, group_size, quantizer.inverse, out.q);
    for (int i = 0; i < group_size; i += kUnit) {
      const int16x8x2_t first = vld2q_s16(out.q + i);
      const int16x8x2_t second = vld2q_s16(out.q + i + 16);
      vst1q_s16(out.q + i, first.val[0]);
      vst1q_s16(out.q + i + 8, second.val[0]);
      vst1q_s16(out.q + i + 16, first.val[1]);
      vst1q_s16(out.q + i + 24, second.val[1]);
    }
  }
  out.scale = quantizer.scale;
  out.sum = quantizer.scale * static_cast<float>(sum);
}

/// Sixteen values as bytes: their high parts, or their low ones, or themselves where they fit.
inline int8x16_t high_parts(const std::int16_t* q) {
  return vcombine_s8(vshrn_n_s16(vld1q_s16(q), 7), vshrn_n_s16(vld1q_s16(q + 8), 7));
}
inline int8x16_t low_parts(const std::int16_t* q) {
  const int8x16_t bytes = vcombine_s8(vmovn_s16(vld1q_s16(q)), vmovn_s16(vld1q_s16(q + 8)));
  return vandq_s8(bytes, vdupq_n_s8(127));
}
inline int8x16_t as_bytes(const std::int16_t* q) {
  return vcombine_s8(vmovn_s16(vld1q_s16(q)), vmovn_s16(vld1q_s16(q + 8)));
}

/// 128 * sum(q) of four groups (or rows): x_sum is x_scale * sum(q), rounded once, and sum(q) has
/// at most 21 bits, so that the quotient's nearest integer is exact. Padding, 0 / 0, gives 0.
inline int32x4_t level_offset(float32x4_t x_scale, float32x4_t x_sum) {
  return vshlq_n_s32(vcvtnq_s32_f32(vdivq_f32(x_sum, x_scale)), 7);
}

/// kBytes: the kernels multiply bytes.
template <bool kBytes>
void pack_row(const PackArgs& a) {
  const int size = a.layout.group_size;
  const std::int64_t groups = a.cols / size;
  const std::int64_t padded = (groups + kChunkGroups - 1) / kChunkGroups * kChunkGroups;
  const int parts = kBytes && a.level == kInt8Level ? 1 : 2;  // bytes of a column
  auto* const q = static_cast<std::int8_t*>(a.q);
  for (std::int64_t g = 0; g < groups; ++g) {
    PackedGroup group;
    quantize(a.x + g * size, size, a.level, group);
    a.scale[g] = group.scale;
    a.sum[g] = group.sum;
    std::int8_t* out = q + g * size * parts;
    if constexpr (!kBytes) {
      __builtin_memcpy(out, group.q, size * sizeof group.q[0]);
      continue;
    }
    for (int i = 0; i < size; i += kUnit, out += kUnit * parts) {
      const std::int16_t* unit = group.q + i;
      if (parts == 1) {
        vst1q_s8(out, as_bytes(unit));
        vst1q_s8(out + 16, as_bytes(unit + 16));
      } else {
        vst1q_s8(out, high_parts(unit));
        vst1q_s8(out + 16, high_parts(unit + 16));
        vst1q_s8(out + 32, low_parts(unit));
        vst1q_s8(out + 48, low_parts(unit + 16));
      }
    }
  }
  __builtin_memset(q + groups * size * parts, 0, (padded - groups) * size * parts);
  for (std::int64_t g = groups; g < padded; ++g) a.scale[g] = a.sum[g] = 0.0f;
}

}  // namespace
}  // namespace bobby::cpu
