#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"

namespace bobby {

/// kLimit unless the disk that `path` lies on, or will lie on, has `bytes` left for this process.
/// A disk that does not say how much it has passes.
Result<void> check_disk_space(const std::filesystem::path& path, std::uint64_t bytes);

}  // namespace bobby
