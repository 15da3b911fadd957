#include "backends/cpu/ops/vector_neon.h"
#include "backends/cpu/training/kernel_table.h"

namespace bobby::cpu {
namespace {

struct Neon : TrainingVector<VectorNeon, 12> {
  static Reg load_levels4(const std::byte* packed) {
    std::uint16_t word;
    std::memcpy(&word, packed, sizeof word);
    const int16x4_t down = vcreate_s16(0xfff4fff8fffc0000);  // 0, -4, -8, -12
    const uint16x4_t levels = vand_u16(vshl_u16(vdup_n_u16(word), down), vdup_n_u16(15));
    return vcvtq_f32_u32(vmovl_u16(levels));
  }
  static Reg load_levels8(const std::byte* packed) {
    std::uint32_t four;
    std::memcpy(&four, packed, sizeof four);
    const uint16x8_t words = vmovl_u8(vcreate_u8(four));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(words)));
  }
};

}  // namespace

constinit const TrainingKernels<float> kNeonTraining =
    training_kernels<Neon>(DequantizeBody<Neon>::dequantize);

}  // namespace bobby::cpu
