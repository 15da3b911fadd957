#pragma once

#include <filesystem>

#include "base/result.h"

namespace bobby {

/// Copies what of a model folder is neither weights nor config.json: tokenizer, generation
/// defaults, chat template, licence. kIo.
Result<void> copy_model_files(const std::filesystem::path& source,
                              const std::filesystem::path& folder);

}  // namespace bobby
