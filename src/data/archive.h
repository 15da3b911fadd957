#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/byte_stream.h"

namespace bobby::data {

/// A file in an archive.
struct ArchiveFile {
  std::string name;         // from the archive's root, with '/': "data/tweets.js"
  std::uint64_t bytes = 0;  // unpacked, as the archive claims
};

/// A folder or a .zip file, read where it lies: nothing is unpacked to the disk.
class Archive {
 public:
  Archive() = default;
  virtual ~Archive() = default;
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  /// Lists the files whose names end with `extension` (".js"); folders are looked into four deep.
  /// kNotFound, kIo; kMalformed for a file that is no whole .zip, or one with a path that leads out
  /// of it; all of them name the archive.
  static Result<std::unique_ptr<Archive>> open(const std::filesystem::path& path,
                                               std::string_view extension);

  /// Sorted by name.
  const std::vector<ArchiveFile>& files() const { return files_; }
  const ArchiveFile* find(std::string_view name) const;

  /// Precondition: `name` is that of one of files(). Errors, those of the stream too, are without
  /// the archive's name. A packed file that grows out of all proportion is a kLimit error.
  virtual Result<std::unique_ptr<ByteStream>> open_file(std::string_view name) = 0;

 protected:
  std::vector<ArchiveFile> files_;
};

namespace detail {

/// The two kinds behind Archive::open().
Result<std::unique_ptr<Archive>> open_folder(const std::filesystem::path& path,
                                             std::string_view extension);
Result<std::unique_ptr<Archive>> open_zip(const std::filesystem::path& path,
                                          std::string_view extension);

}  // namespace detail

/// Whether a path from an archive stays inside it: relative, no "..", no back slashes.
bool stays_inside(std::string_view path);

}  // namespace bobby::data
