#include "backends/cpu/ops/ops_body.h"
#include "backends/cpu/ops/vector_neon.h"

namespace bobby::cpu {

constinit const CpuOps kNeonOps = OpsBody<VectorNeon>::table();

}  // namespace bobby::cpu
