#include "backends/cpu/ops/vector_avx2.h"
#include "backends/cpu/training/kernel_table.h"

namespace bobby::cpu {

constinit const TrainingKernels<float> kAvx2Training =
    training_kernels<TrainingVector<VectorAvx2, 6>>(DequantizeBody<VectorAvx2>::dequantize);

}  // namespace bobby::cpu
