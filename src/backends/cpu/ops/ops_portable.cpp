#include "backends/cpu/ops/ops_body.h"
#include "backends/cpu/ops/vector_portable.h"

namespace bobby::cpu {

constinit const CpuOps kPortableOps = OpsBody<VectorPortable>::table();

}  // namespace bobby::cpu
