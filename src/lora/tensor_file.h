#pragma once

#include <optional>

#include "safetensors/dtype.h"
#include "tensor/dtype.h"

namespace bobby {

/// The same element type in `tensor`'s terms; unset for one that no checkpoint of ours holds.
std::optional<DType> to_dtype(safetensors::DType dtype);

}  // namespace bobby
