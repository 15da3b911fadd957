#include "backends/cpu/ops/ops_body.h"
#include "backends/cpu/ops/vector_avx512.h"

namespace bobby::cpu {

constinit const CpuOps kAvx512Ops = OpsBody<VectorAvx512>::table();

}  // namespace bobby::cpu
