#pragma once

// Four floats. See vector_portable.h for what each means.

#include <arm_neon.h>
#include <cstdint>
#include <cstring>

namespace bobby::cpu {

struct VectorNeon {
  using Reg = float32x4_t;
  static constexpr int kLanes = 4;
  static constexpr int kQueries = 4;

  static Reg set1(float x) { return vdupq_n_f32(x); }
  static Reg load(const float* from) { return vld1q_f32(from); }
  static void store(float* to, Reg v) { vst1q_f32(to, v); }
  static Reg load_n(const float* from, std::int64_t lanes) {
    if (lanes == kLanes) return load(from);
    float padded[kLanes] = {};
    for (std::int64_t i = 0; i < lanes; ++i) padded[i] = from[i];
    return load(padded);
  }
  static void store_n(float* to, Reg v, std::int64_t lanes) {
    if (lanes == kLanes) return store(to, v);
    float padded[kLanes];
    store(padded, v);
    for (std::int64_t i = 0; i < lanes; ++i) to[i] = padded[i];
  }
  static Reg load_half_n(const std::uint16_t* from, std::int64_t lanes) {
    std::uint16_t padded[kLanes] = {};
    if (lanes != kLanes) {
      for (std::int64_t i = 0; i < lanes; ++i) padded[i] = from[i];
      from = padded;
    }
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
  }
  static void store_half_n(std::uint16_t* to, Reg v, std::int64_t lanes) {
    const uint16x4_t half = vreinterpret_u16_f16(vcvt_f16_f32(v));
    if (lanes == kLanes) return vst1_u16(to, half);
    std::uint16_t padded[kLanes];
    vst1_u16(padded, half);
    for (std::int64_t i = 0; i < lanes; ++i) to[i] = padded[i];
  }

  static Reg load_int8_n(const std::int8_t* from, std::int64_t lanes) {
    std::uint32_t four = 0;
    if (lanes == kLanes) {
      std::memcpy(&four, from, sizeof four);
    } else {
      for (std::int64_t i = 0; i < lanes; ++i)
        four |= std::uint32_t{static_cast<std::uint8_t>(from[i])} << (8 * i);
    }
    const int16x8_t words = vmovl_s8(vcreate_s8(four));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
  }
  static void store_int8_n(std::int8_t* to, Reg v, std::int64_t lanes) {
    const int16x4_t words = vmovn_s32(vcvtnq_s32_f32(v));
    std::int8_t padded[8];
    vst1_s8(padded, vmovn_s16(vcombine_s16(words, words)));
    for (std::int64_t i = 0; i < lanes; ++i) to[i] = padded[i];
  }

  static Reg add(Reg a, Reg b) { return vaddq_f32(a, b); }
  static Reg sub(Reg a, Reg b) { return vsubq_f32(a, b); }
  static Reg mul(Reg a, Reg b) { return vmulq_f32(a, b); }
  static Reg div(Reg a, Reg b) { return vdivq_f32(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return vfmaq_f32(c, a, b); }
  static Reg max(Reg a, Reg b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static Reg min(Reg a, Reg b) { return vbslq_f32(vcltq_f32(a, b), a, b); }

  static float sum(Reg v) {
    const float32x2_t two = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  static void sum4(const Reg (&v)[4], float* out) {
    store(out, vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3])));
  }
  static std::int64_t count_beyond(Reg v, float limit) {
    return vaddvq_u32(vshrq_n_u32(vcagtq_f32(v, set1(limit)), 31));
  }
  static float largest(Reg v) {
    const Reg halves = max(v, vextq_f32(v, v, 2));
    const float even = vgetq_lane_f32(halves, 0);
    const float odd = vgetq_lane_f32(halves, 1);
    return even > odd ? even : odd;
  }
  static float first(Reg v) { return vgetq_lane_f32(v, 0); }

  static Reg round(Reg x) { return vrndnq_f32(x); }
  static Reg times_power_of_2(Reg x, Reg n) {
    const int32x4_t bias = vdupq_n_s32(127);
    const int32x4_t whole = vcvtq_s32_f32(n);
    const int32x4_t half = vshrq_n_s32(whole, 1);
    const int32x4_t rest = vsubq_s32(whole, half);
    x = vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23)));
    return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23)));
  }
};

}  // namespace bobby::cpu
