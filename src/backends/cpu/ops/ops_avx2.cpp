#include "backends/cpu/ops/ops_body.h"
#include "backends/cpu/ops/vector_avx2.h"

namespace bobby::cpu {

constinit const CpuOps kAvx2Ops = OpsBody<VectorAvx2>::table();

}  // namespace bobby::cpu
