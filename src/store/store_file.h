#pragma once

#include <filesystem>

#include "base/result.h"

namespace bobby::store {

/// Makes the file at `path` (empty, mode 0600) and its missing folders (0700) where there is none.
Result<void> ensure_private_file(const std::filesystem::path& path);

/// Takes the file's rights from everyone but its owner. A file that is someone else's stays.
Result<void> make_private(const std::filesystem::path& path);

/// Puts a file's bytes on the disk.
Result<void> flush_file(const std::filesystem::path& path);

}  // namespace bobby::store
