#include <arm_neon.h>

#include "backends/cpu/ops/vector_portable.h"
#include "backends/cpu/training/kernel_table.h"

namespace bobby::cpu {
namespace {

/// The portable vector, which the compiler makes NEON of, with its fused multiply-add.
struct VectorNeon : VectorPortable {
  static Reg fma(Reg a, Reg b, Reg c) {
    return reinterpret_cast<Reg>(vfmaq_f32(reinterpret_cast<float32x4_t>(c),
                                           reinterpret_cast<float32x4_t>(a),
                                           reinterpret_cast<float32x4_t>(b)));
  }
};

using Neon = FourLanes<VectorNeon, 12>;

}  // namespace

constinit const TrainingKernels<float> kNeonTraining =
    training_kernels<Neon>(DequantizeBody<Neon>::dequantize);

}  // namespace bobby::cpu
