#include "hub/cache/file_lock.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace bobby::hub {
namespace {

constexpr mode_t kShared = 0664;  // as the hub's own library makes them: a group may share a cache
constexpr std::chrono::milliseconds kLook{50};

int open_lock(const std::filesystem::path& file) {
  std::error_code ignored;
  std::filesystem::create_directories(file.parent_path(), ignored);
  const int lock = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kShared);
  if (lock >= 0) static_cast<void>(::fchmod(lock, kShared));  // another's stays as that one left it
  return lock;
}

enum class Try : std::uint8_t { kHeld, kTaken, kNoLocks };

Try try_lock(int file) {
  for (;;) {
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) return Try::kHeld;
    if (errno == EWOULDBLOCK || errno == EACCES) return Try::kTaken;
    if (errno != EINTR) return Try::kNoLocks;
  }
}

}  // namespace

Result<FileLock> FileLock::acquire(const std::filesystem::path& file, const net::Watch& watch,
                                   const std::function<void()>& waiting) {
  const int descriptor = open_lock(file);
  if (descriptor < 0)
    return fail({.code = ErrorCode::kIo,
                 .where = file.string(),
                 .problem = std::string("cannot be opened: ") + std::strerror(errno)});
  FileLock lock(descriptor, true);
  for (bool first = true;; first = false) {
    const Try result = try_lock(descriptor);
    lock.held_ = result == Try::kHeld;
    if (result != Try::kTaken) return lock;
    if (first && waiting) waiting();
    net::wait(kLook, watch);
  }
}

std::optional<FileLock> FileLock::try_acquire(const std::filesystem::path& file) {
  const int descriptor = open_lock(file);
  if (descriptor < 0) return std::nullopt;
  FileLock lock(descriptor, true);
  if (try_lock(descriptor) == Try::kTaken) return std::nullopt;
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept
    : file_(std::exchange(other.file_, -1)), held_(std::exchange(other.held_, false)) {}

FileLock::~FileLock() {
  if (file_ >= 0) ::close(file_);  // which lets go
}

}  // namespace bobby::hub
