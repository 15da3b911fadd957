#pragma once

#include "backends/cpu/cpu.h"
#include "tensor/formats/affine.h"

namespace bobby {

/// quantize_rows() of tensor/formats/affine.h with the kernels of `isa`, one of available_isas():
/// the same bits, the same sums, the same errors.
QuantizeRows cpu_quantize_rows(CpuIsa isa);

}  // namespace bobby
