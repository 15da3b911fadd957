#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>

#include "safetensors/error.h"
#include "system_error.h"

namespace safetensors {

/// Ranges of a file that are on their way to the disk, oldest first.
struct WriteBehind {
  struct Range {
    std::uint64_t offset;
    std::uint64_t length;
  };
  std::deque<Range> ranges;
  std::uint64_t bytes = 0;
};

/// A file that appears under its name whole or not at all: written as a temporary file in the same
/// folder, renamed over the target at the end, removed if that never happens.
class AtomicFile {
 public:
  /// `mode`: of the file, less the process's umask. `write_behind`: see WriteOptions.
  static Result<AtomicFile> create(const std::filesystem::path& target, unsigned mode = 0666,
                                   bool write_behind = false);

  AtomicFile(AtomicFile&& other) noexcept
      : target_(std::move(other.target_)),
        temporary_(std::exchange(other.temporary_, {})),
        descriptor_(std::move(other.descriptor_)),
        behind_(std::move(other.behind_)) {}
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Syncs the file, renames it, syncs the folder. Once.
  Result<void> commit();

 private:
  AtomicFile(std::filesystem::path target, std::filesystem::path temporary, Descriptor descriptor)
      : target_(std::move(target)),
        temporary_(std::move(temporary)),
        descriptor_(std::move(descriptor)) {}

  void write_out(std::uint64_t offset, std::uint64_t length);

  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty after a move or the rename
  Descriptor descriptor_;
  std::optional<WriteBehind> behind_;  // empty: the system writes when it likes
};

}  // namespace safetensors
