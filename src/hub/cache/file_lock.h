#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "base/result.h"
#include "http/backoff.h"

namespace bobby::hub {

/// A lock that processes take on a file, as the hub's own library does: flock() on
/// .locks/REPOSITORY/BLOB.lock, which stays there.
class FileLock {
 public:
  /// Waits until the lock is free; `waiting` is called once when it is not at once. On a file
  /// system without locks nothing is held. kIo.
  static Result<FileLock> acquire(const std::filesystem::path& file, const net::Watch& watch,
                                  const std::function<void()>& waiting);
  /// None when somebody else has it, or where it cannot be asked for.
  static std::optional<FileLock> try_acquire(const std::filesystem::path& file);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

  /// False on a file system without locks.
  bool held() const { return held_; }

 private:
  FileLock(int file, bool held) : file_(file), held_(held) {}

  int file_;
  bool held_;
};

}  // namespace bobby::hub
