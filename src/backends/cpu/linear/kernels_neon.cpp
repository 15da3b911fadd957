// V of kernel_body.h for AArch64: sixteen lanes are four registers.
#include <arm_neon.h>

#include "backends/cpu/linear/kernels.h"

#define BOBBY_VECTORS_IN_REGISTERS

namespace bobby::cpu {
namespace {

// How eight values of kBits bits, a little-endian bit string, become words: each word takes the two
// bytes that hold its value, shifted down.
template <int kBits>
struct SpreadTables {
  alignas(16) std::uint8_t bytes[16] = {};
  alignas(16) std::int16_t shifts[8] = {};

  constexpr SpreadTables() {
    for (int i = 0; i < 8; ++i) {
      bytes[2 * i] = static_cast<std::uint8_t>(i * kBits / 8);
      bytes[2 * i + 1] = static_cast<std::uint8_t>(i * kBits / 8 + 1);
      shifts[i] = static_cast<std::int16_t>(-(i * kBits % 8));
    }
  }
};
template <int kBits>
constexpr SpreadTables<kBits> kSpreadTables;

struct V {
  struct I32 {
    int32x4_t q[4];
  };
  struct F32 {
    float32x4_t q[4];
  };
  struct Words {
    uint16x8_t q[4];
  };

  static I32 zero_i() {
    const int32x4_t zero = vdupq_n_s32(0);
    return {{zero, zero, zero, zero}};
  }
  static F32 zero_f() {
    const float32x4_t zero = vdupq_n_f32(0.0f);
    return {{zero, zero, zero, zero}};
  }
  static Words load_words(const unsigned char* bytes) {
    Words words;
    for (int i = 0; i < 4; ++i) words.q[i] = vreinterpretq_u16_u8(vld1q_u8(bytes + 16 * i));
    return words;
  }

  template <int kBits>
  static Words spread(const unsigned char* bytes) {
    const uint8x16_t pick = vld1q_u8(kSpreadTables<kBits>.bytes);
    const int16x8_t shifts = vld1q_s16(kSpreadTables<kBits>.shifts);
    Words words;
    for (int i = 0; i < 4; ++i) {
      std::uint64_t string = 0;
      __builtin_memcpy(&string, bytes + kBits * i, kBits);
      const uint8x16_t lane = vcombine_u8(vcreate_u8(string), vcreate_u8(0));
      const uint16x8_t pairs = vreinterpretq_u16_u8(vqtbl1q_u8(lane, pick));
      words.q[i] = vandq_u16(vshlq_u16(pairs, shifts), vdupq_n_u16((1 << kBits) - 1));
    }
    return words;
  }

  template <int kBits, int kField>
  static Words field(Words words) {
    if constexpr (kBits == 16) return words;
    for (int i = 0; i < 4; ++i) {
      if constexpr (kField > 0) words.q[i] = vshrq_n_u16(words.q[i], kField * kBits);
      if constexpr (kField < 16 / kBits - 1) {
        words.q[i] = vandq_u16(words.q[i], vdupq_n_u16((1 << kBits) - 1));
      }
    }
    return words;
  }

  template <int kLanes>
  static I32 dot(I32 acc, const Words& words, const std::int16_t* x) {
    for (int i = 0; i < 4; ++i) {
      const int16x8_t w = vreinterpretq_s16_u16(words.q[i]);
      const int16x8_t q = vld1q_s16(x + 8 * i);
      if constexpr (kLanes >= 4) {  // all eight words are of one group
        acc.q[i] = vmlal_s16(acc.q[i], vget_low_s16(w), vget_low_s16(q));
        acc.q[i] = vmlal_high_s16(acc.q[i], w, q);
      } else {  // the lower four are of another group than the upper four
        const int32x4_t low = vmull_s16(vget_low_s16(w), vget_low_s16(q));
        acc.q[i] = vaddq_s32(acc.q[i], vpaddq_s32(low, vmull_high_s16(w, q)));
      }
    }
    return acc;
  }

  template <int kLanes>
  static I32 reduce(const I32* v) {
    I32 sums;
    for (int i = 0; i < 4; ++i) {
      if constexpr (kLanes == 16) {
        sums.q[i] = sum_fours(sixteen(v[4 * i]), sixteen(v[4 * i + 1]), sixteen(v[4 * i + 2]),
                              sixteen(v[4 * i + 3]));
      } else if constexpr (kLanes == 8) {
        const I32& a = v[2 * i];
        const I32& b = v[2 * i + 1];
        sums.q[i] = sum_fours(vaddq_s32(a.q[0], a.q[1]), vaddq_s32(a.q[2], a.q[3]),
                              vaddq_s32(b.q[0], b.q[1]), vaddq_s32(b.q[2], b.q[3]));
      } else if constexpr (kLanes == 4) {
        sums.q[i] = sum_fours(v[i].q[0], v[i].q[1], v[i].q[2], v[i].q[3]);
      } else {
        sums.q[i] = vpaddq_s32(v[i / 2].q[i % 2 * 2], v[i / 2].q[i % 2 * 2 + 1]);
      }
    }
    return sums;
  }

  static F32 to_float(const I32& a) {
    F32 out;
    for (int i = 0; i < 4; ++i) out.q[i] = vcvtq_f32_s32(a.q[i]);
    return out;
  }
  static F32 mul(const F32& a, const F32& b) {
    F32 out;
    for (int i = 0; i < 4; ++i) out.q[i] = vmulq_f32(a.q[i], b.q[i]);
    return out;
  }
  static F32 add(const F32& a, const F32& b) {
    F32 out;
    for (int i = 0; i < 4; ++i) out.q[i] = vaddq_f32(a.q[i], b.q[i]);
    return out;
  }
  static F32 fma(const F32& a, const F32& b, const F32& c) {
    F32 out;
    for (int i = 0; i < 4; ++i) out.q[i] = vfmaq_f32(c.q[i], a.q[i], b.q[i]);
    return out;
  }
  static F32 load_f(const float* values) {
    F32 out;
    for (int i = 0; i < 4; ++i) out.q[i] = vld1q_f32(values + 4 * i);
    return out;
  }

  template <int kType>
  static F32 load_as(const unsigned char* bytes) {
    F32 out;
    for (int i = 0; i < 4; ++i) {
      if constexpr (kType == kF32) {
        out.q[i] = vreinterpretq_f32_u8(vld1q_u8(bytes + 16 * i));
      } else {
        const uint16x4_t bits = vreinterpret_u16_u8(vld1_u8(bytes + 8 * i));
        if constexpr (kType == kF16) {
          out.q[i] = vcvt_f32_f16(vreinterpret_f16_u16(bits));
        } else {
          out.q[i] = vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
        }
      }
    }
    return out;
  }

  static float fold(const F32& a) {
    const float32x4_t four = vaddq_f32(vaddq_f32(a.q[0], a.q[2]), vaddq_f32(a.q[1], a.q[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }

 private:
  static int32x4_t sixteen(const I32& a) {
    return vaddq_s32(vaddq_s32(a.q[0], a.q[1]), vaddq_s32(a.q[2], a.q[3]));
  }
  static int32x4_t sum_fours(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
    return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
  }
};

}  // namespace
}  // namespace bobby::cpu

#include "backends/cpu/linear/kernel_body.h"

namespace bobby::cpu {
const LinearKernels kNeonKernels = {"neon", false, pack, quant, quant_scratch, dense, lora};
}  // namespace bobby::cpu
