#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace bobby::bluesky {

/// Makes `folder` and those above it, for their owner alone, where they are not there. kIo.
Result<void> make_private_folder(const std::filesystem::path& folder);

/// A file's bytes; nothing: there is no such file. kIo; kLimit: more than a megabyte; kUsage:
/// others than its owner may read it.
Result<std::optional<std::string>> read_private_file(const std::filesystem::path& path);

/// Writes a file (mode 0600) under another name, syncs and renames it: whoever reads `path` finds
/// the old bytes or the new ones, whole, also after a loss of power. kIo.
Result<void> write_private_file(const std::filesystem::path& path, std::string_view bytes);

/// A lock on a file, which is made where there is none. Ends with the process at the latest.
class FileLock {
 public:
  /// Nothing: another holds it. kIo.
  static Result<std::optional<FileLock>> take(const std::filesystem::path& path);
  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace bobby::bluesky
