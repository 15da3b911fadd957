#include "backends/cpu/linear/avx512_vectors.h"
#include "backends/cpu/linear/kernel_body.h"

namespace bobby::cpu {
const LinearKernels kAvx512VnniKernels = {"avx512-vnni", true,  pack, quant,
                                          quant_scratch, dense, lora};
}  // namespace bobby::cpu
