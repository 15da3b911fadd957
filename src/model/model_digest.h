#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace bobby {

/// What tells one model's weights from another's in milliseconds, whatever their size: SHA-256 over
/// the name, size, first 64 KiB and 64 evenly spaced 4 KiB blocks of each weight file, in the order
/// of the names. It is no proof against forgery. kNotFound: no weight file; kIo.
Result<std::string> model_digest(const std::filesystem::path& folder);

}  // namespace bobby
