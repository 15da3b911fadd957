#pragma once

#include "lora/json_object.h"
#include "model/config.h"

namespace bobby {

/// Reads `quantization` of a config.json into `config`: the global entry and those by module path.
/// Modes that are unknown, and schemes that are not MLX's, are refused by name.
void read_quantization(JsonObject& json, ModelConfig& config);

}  // namespace bobby
