#pragma once

#include <optional>

#include "backends/cpu/cpu.h"
#include "backends/cpu/ops/ops.h"
#include "base/result.h"

namespace bobby::cpu {

/// `asked`, or else BOBBY_CPU_ISA of the environment, or else the best of available_isas().
/// kUnsupported for one that is not available here, kUsage for a name that is none.
Result<CpuIsa> select_isa(std::optional<CpuIsa> asked);

/// The table of an available instruction set. VNNI has nothing to add to AVX-512 here, nor have
/// NEON's products of bytes.
const CpuOps& ops_for(CpuIsa isa);

}  // namespace bobby::cpu
