#include "backends/cpu/ops/vector_avx512.h"
#include "backends/cpu/training/kernel_table.h"

namespace bobby::cpu {

constinit const TrainingKernels<float> kAvx512Training =
    training_kernels<TrainingVector<VectorAvx512, 12>>(DequantizeBody<VectorAvx512>::dequantize);

}  // namespace bobby::cpu
