#include "backends/cpu/ops/vector_neon.h"
#include "backends/cpu/quantize/quantize_body.h"

namespace bobby::cpu {
namespace {

struct Neon : VectorNeon {
  static uint16x4_t load_halves(const std::byte* from) {
    return vreinterpret_u16_u8(vld1_u8(reinterpret_cast<const std::uint8_t*>(from)));
  }
  static Reg load_bf16(const std::byte* from) {
    return vreinterpretq_f32_u32(vshll_n_u16(load_halves(from), 16));
  }
  static Reg load_f16(const std::byte* from) {
    return vcvt_f32_f16(vreinterpret_f16_u16(load_halves(from)));
  }
  static Reg select(Reg a, Reg b, Reg then, Reg other) {
    return vbslq_f32(vcgtq_f32(a, b), then, other);
  }
  static Reg magnitude(Reg x) { return vabsq_f32(x); }
  static Reg truncate(Reg x) { return vrndq_f32(x); }
  static Reg nearest_even(Reg x) { return vrndnq_f32(x); }
  static void store_levels(std::uint8_t* to, Reg v) {
    const uint16x4_t words = vmovn_u32(vcvtq_u32_f32(v));
    const uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
    const std::uint32_t four = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
    std::memcpy(to, &four, sizeof four);
  }

  struct Squares {
    float64x2_t sums[8] = {};
    template <int kPart>
    void add(Reg v) {
      const float64x2_t low = vcvt_f64_f32(vget_low_f32(v));
      const float64x2_t high = vcvt_high_f64_f32(v);
      sums[2 * kPart] = vfmaq_f64(sums[2 * kPart], low, low);
      sums[2 * kPart + 1] = vfmaq_f64(sums[2 * kPart + 1], high, high);
    }
    void store(double* out) const {
      for (int i = 0; i < 8; ++i) vst1q_f64(out + 2 * i, sums[i]);
    }
  };

  /// Levels side by side in the low bits of each lane: two in 16, four in 32, eight in 64.
  template <int kBits>
  static uint64x2_t pack_eights(const std::uint8_t* levels) {
    const uint16x8_t ones = vreinterpretq_u16_u8(vld1q_u8(levels));
    const uint32x4_t twos = vreinterpretq_u32_u16(vsliq_n_u16(ones, vshrq_n_u16(ones, 8), kBits));
    const uint64x2_t fours =
        vreinterpretq_u64_u32(vsliq_n_u32(twos, vshrq_n_u32(twos, 16), 2 * kBits));
    return vsliq_n_u64(fours, vshrq_n_u64(fours, 32), 4 * kBits);
  }

  template <int kBits>
  static void pack(const std::uint8_t* levels, std::byte* out) {
    if constexpr (kBits == 4) {
      const uint8x16x2_t halves = vld2q_u8(levels);
      vst1q_u8(reinterpret_cast<std::uint8_t*>(out), vsliq_n_u8(halves.val[0], halves.val[1], 4));
      return;
    }
    std::uint64_t eights[4];
    vst1q_u64(eights, pack_eights<kBits>(levels));
    vst1q_u64(eights + 2, pack_eights<kBits>(levels + 16));
    for (int i = 0; i < 4; ++i) std::memcpy(out + i * kBits, eights + i, kBits);
  }
};

}  // namespace

constinit const QuantizeKernels kNeonQuantize = QuantizeBody<Neon>::table();

}  // namespace bobby::cpu
