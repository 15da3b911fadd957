#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "http/backoff.h"
#include "hub/cache/content_hash.h"

namespace bobby::hub {

/// A blob that is still coming: its first bytes, in order, and their hash.
class IncompleteFile {
 public:
  /// Opens what a former pull left, or an empty file. `size` none: it is not known yet. kIo.
  static Result<IncompleteFile> open(const std::filesystem::path& path, HashKind kind,
                                     std::optional<std::uint64_t> size);
  IncompleteFile(IncompleteFile&& other) noexcept;
  IncompleteFile& operator=(IncompleteFile&&) = delete;
  ~IncompleteFile();

  std::uint64_t size() const { return size_; }

  /// Hashes what is there already. kIo.
  Result<void> read_again(const net::Watch& watch);
  /// Adds bytes. kIo, kLimit when the disk is full: what is there stays.
  Result<void> append(std::span<const std::byte> bytes);
  /// Throws away what is there. kIo.
  Result<void> clear();
  /// Whether this is the file called `etag`: nothing is known against it. Call once, when all is
  /// there. kIo.
  Result<bool> is_whole(const std::string& etag, const net::Watch& watch);
  /// Gives the file, once the disk has it, its name in one step. Call last. kIo.
  Result<void> rename_to(const std::filesystem::path& blob);
  /// Removes the file.
  void remove();

 private:
  IncompleteFile(std::filesystem::path path, int file, HashKind kind,
                 std::optional<std::uint64_t> expected);
  void begin_hash();
  tl::unexpected<Error> failed(const char* what) const;

  std::filesystem::path path_;
  int file_;
  HashKind kind_;
  std::optional<std::uint64_t> expected_;
  std::optional<ContentHash> hash_;  // none while the length is not known
  std::uint64_t size_ = 0;
};

}  // namespace bobby::hub
