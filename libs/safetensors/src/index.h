#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "safetensors/error.h"

namespace safetensors {

/// Tensor name → file name: the `weight_map` of an index.
using WeightMap = std::map<std::string, std::string, std::less<>>;

/// Reads `model.safetensors.index.json`. File names are plain: no folder, no "..". Errors of
/// MappedFile and of the JSON text; kHeaderInvalid, kDuplicateKey; kIndexMismatch for a file name
/// that leads elsewhere.
Result<WeightMap> read_index(const std::filesystem::path& path);

}  // namespace safetensors
