#pragma once

#include "lora/adapter.h"

namespace bobby {

/// The Frobenius norm of scale * B A, what the module adds to its weight (without DoRA's
/// magnitude). From the rank x rank products B'B and AA', so B A is never formed.
double delta_norm(const AdapterModule& module);

}  // namespace bobby
