#pragma once

#include "base/error.h"
#include "safetensors/error.h"

namespace bobby {

/// An error of the safetensors library as one of ours: same sentence, our stable code.
Error to_error(safetensors::Error error);

}  // namespace bobby
