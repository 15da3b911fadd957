#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "safetensors/error.h"

namespace safetensors {

/// How a range of a mapping is about to be used; see posix_madvise(3).
enum class Advice : std::uint8_t { kNormal, kSequential, kRandom, kWillNeed };

/// A regular file mapped read-only, whole. Usable for any format; this library's readers are built
/// on it. Pages are shared with every other process that maps the file, and are read when touched.
///
/// The mapping stays valid when the file is renamed over or removed. It does not when the file is
/// truncated in place: touching a lost page raises SIGBUS, as with any mapping. Writers that
/// replace files by rename, as this library's does, never cause that.
class MappedFile {
 public:
  /// kFileNotFound, kPermissionDenied, kNotAFile (directory, pipe, device) or kIo. A file of size 0
  /// gives empty bytes().
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  /// Page-aligned start; valid as long as this object (moving it does not move them).
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  /// A hint for `range`, which must lie inside bytes(); failing has no effect.
  void advise(std::span<const std::byte> range, Advice advice) const;

 private:
  MappedFile(const std::byte* data, std::size_t size) : data_(data), size_(size) {}

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace safetensors
