#pragma once

#include <memory>

#include "backends/backend.h"

namespace bobby {

/// The plain fp32 backend: slow, single-threaded, the definition the fast ones are checked against.
/// Weights are dequantised to fp32 without rounding and multiplied in fp32 with fp64 sums.
std::unique_ptr<Backend> make_reference_backend();

}  // namespace bobby
