#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace bobby {

/// Writes `bytes` under another name in the same folder, syncs and renames: at any moment `path` is
/// the old file or the new one, whole. kIo.
Result<void> write_file_durably(const std::filesystem::path& path, std::string_view bytes);

/// Makes what was renamed in `folder` last through a power failure. kIo.
Result<void> sync_folder(const std::filesystem::path& folder);

/// A folder that takes the place of `target` whole: its files are written into a hidden folder
/// beside it, which commit() syncs and puts in place. Whoever is killed on the way leaves the old
/// folder; recover_folder() tidies up what lies beside it.
class FolderReplacement {
 public:
  /// kIo.
  static Result<FolderReplacement> begin(const std::filesystem::path& target);
  FolderReplacement(FolderReplacement&& other) noexcept
      : target_(std::move(other.target_)), partial_(std::exchange(other.partial_, {})) {}
  FolderReplacement& operator=(FolderReplacement&&) = delete;
  ~FolderReplacement();

  /// Where to write.
  const std::filesystem::path& path() const { return partial_; }
  /// Writes a small file there. kIo.
  Result<void> write(std::string_view file_name, std::string_view bytes) const;
  /// Syncs every file and puts the folder in its place. Call once, last. kIo: the old one stays.
  Result<void> commit();

 private:
  FolderReplacement(std::filesystem::path target, std::filesystem::path partial)
      : target_(std::move(target)), partial_(std::move(partial)) {}

  std::filesystem::path target_;
  std::filesystem::path partial_;  // empty: committed, or moved from
};

/// Ends what a killed process had begun: afterwards `target` is the newest folder that was complete
/// (missing if there never was one) and nothing lies beside it. kIo.
Result<void> recover_folder(const std::filesystem::path& target);

/// A file that only grows, and knows how far.
class AppendFile {
 public:
  /// Opens `path`, made if need be, and cuts it after `size` bytes. kIo; kMismatch: it is shorter.
  static Result<AppendFile> open(const std::filesystem::path& path, std::int64_t size);
  AppendFile(AppendFile&& other) noexcept
      : path_(std::move(other.path_)),
        descriptor_(std::exchange(other.descriptor_, -1)),
        size_(other.size_) {}
  AppendFile& operator=(AppendFile&&) = delete;
  ~AppendFile();

  /// kIo; what was written of `bytes` by then is cut off again.
  Result<void> append(std::string_view bytes);
  /// kIo.
  Result<void> sync();
  std::int64_t size() const { return size_; }

 private:
  AppendFile(std::filesystem::path path, int descriptor, std::int64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
};

/// Held while a process works in a folder, so that a second one does not. Ends with the process.
class FolderLock {
 public:
  /// kIo; kBusy: another process holds it.
  static Result<FolderLock> take(const std::filesystem::path& folder);
  FolderLock(FolderLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace bobby
