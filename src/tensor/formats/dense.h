#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace bobby {

/// Whether `dtype` is one that dense weights, scales and biases come in: float32, float16,
/// bfloat16.
bool is_float_dtype(DType dtype);

/// `count` elements of `dtype` at `from` (any alignment) → fp32, exact. Precondition: a float
/// dtype.
void widen(DType dtype, const std::byte* from, std::int64_t count, float* to);

/// fp32 → `count` elements of `dtype` at `to` (any alignment), round to nearest even. Precondition:
/// a float dtype.
void narrow(DType dtype, const float* from, std::int64_t count, std::byte* to);

}  // namespace bobby
