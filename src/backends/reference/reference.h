#pragma once

#include <memory>

#include "backends/backend.h"

namespace bobby {

/// The plain backend: slow, single-threaded, the definition the fast ones are checked against.
/// Weights are dequantised to fp32 without further rounding; products and sums are fp64, and each
/// result is rounded to fp32 once.
std::unique_ptr<Backend> make_reference_backend();

}  // namespace bobby
