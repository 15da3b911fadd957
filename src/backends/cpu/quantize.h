#pragma once

#include <optional>

#include "backends/cpu/cpu.h"
#include "tensor/formats/affine.h"

namespace bobby {

/// quantize_rows() of tensor/formats/affine.h with the kernels of an instruction set: the same
/// bits, the same sums, the same errors. Unset: as of CpuOptions. kUnsupported, kUsage.
Result<QuantizeRows> cpu_quantize_rows(std::optional<CpuIsa> isa = {});

}  // namespace bobby
