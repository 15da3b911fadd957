#include "bluesky/private_file.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/sync_file.h"

namespace bobby::bluesky {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = 1 << 20;

tl::unexpected<Error> io_error(int number, const fs::path& path, std::string_view problem) {
  return fail({.code = ErrorCode::kIo,
               .where = path.string(),
               .problem = fmt::format("{} ({})", problem, std::generic_category().message(number)),
               .hint = number == ENOSPC ? "make room on the disk" : ""});
}

Result<void> write_all(int descriptor, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ::ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return io_error(written < 0 ? errno : EIO, path, "cannot be written");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (const int failed = sync_to_disk(descriptor))
    return io_error(failed, path, "cannot be synced");
  return {};
}

Result<void> sync_folder(const fs::path& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.value() < 0) return io_error(errno, folder, "cannot be opened");
  // Some file systems cannot sync a folder; a rename has happened all the same.
  if (const int failed = sync_to_disk(descriptor.value()); failed != 0 && failed != EINVAL)
    return io_error(failed, folder, "cannot be synced");
  return {};
}

}  // namespace

Result<void> make_private_folder(const fs::path& folder) {
  std::error_code error;
  if (folder.empty() || fs::is_directory(folder, error)) return {};
  BOBBY_CHECK(make_private_folder(folder.parent_path()));
  if (::mkdir(folder.c_str(), 0700) != 0 && !(errno == EEXIST && fs::is_directory(folder, error)))
    return io_error(errno, folder, "the folder cannot be made");
  return {};
}

Result<std::optional<std::string>> read_private_file(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.value() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return io_error(errno, path, "cannot be opened");
  }
  struct stat status = {};
  if (::fstat(file.value(), &status) != 0) return io_error(errno, path, "cannot be read");
  if (!S_ISREG(status.st_mode))
    return fail({.code = ErrorCode::kUsage, .where = path.string(), .problem = "is no plain file"});
  if ((status.st_mode & 077) != 0)
    return fail({.code = ErrorCode::kUsage,
                 .where = path.string(),
                 .problem = "may be read by others than its owner",
                 .expected = "mode 600",
                 .found = fmt::format("{:o}", status.st_mode & 0777),
                 .hint = "chmod 600 it, if nobody has read it"});
  std::string bytes;
  char part[8192];
  for (;;) {
    const ::ssize_t count = ::read(file.value(), part, sizeof part);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error(errno, path, "cannot be read");
    if (count == 0) return bytes;
    bytes.append(part, static_cast<std::size_t>(count));
    if (bytes.size() > kMostBytes)
      return fail({.code = ErrorCode::kLimit,
                   .where = path.string(),
                   .problem = fmt::format("has more than {} bytes", kMostBytes)});
  }
}

Result<void> write_private_file(const fs::path& path, std::string_view bytes) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  BOBBY_CHECK(make_private_folder(folder));
  // One name for all, so that nothing stays behind of processes that were killed.
  const std::string partial = (folder / ("." + path.filename().string() + ".partial")).string();
  ::unlink(partial.c_str());
  const Descriptor file(
      ::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.value() < 0) return io_error(errno, path, "cannot be written");
  Result<void> written = write_all(file.value(), bytes, path);
  if (written && std::rename(partial.c_str(), path.c_str()) != 0)
    written = io_error(errno, path, "cannot be put in place");
  if (!written) {
    ::unlink(partial.c_str());
    return written;
  }
  return sync_folder(folder);
}

Result<std::optional<FileLock>> FileLock::take(const fs::path& path) {
  if (path.has_parent_path()) BOBBY_CHECK(make_private_folder(path.parent_path()));
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.value() < 0) return io_error(errno, path, "cannot be opened");
  if (::flock(file.value(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK || errno == EINTR) return std::optional<FileLock>();
    return io_error(errno, path, "cannot be locked");
  }
  return std::optional<FileLock>(FileLock(file.release()));
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace bobby::bluesky
