#include "training/durable_files.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "base/sync_file.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> io_error(int number, const fs::path& path, std::string_view problem) {
  return fail({.code = ErrorCode::kIo,
               .where = path.string(),
               .problem = fmt::format("{} ({})", problem, std::generic_category().message(number)),
               .hint = number == ENOSPC ? "make room on the disk" : ""});
}

fs::path beside(const fs::path& target, std::string_view what) {
  return target.parent_path() / fmt::format(".{}.{}", target.filename().string(), what);
}
fs::path partial_of(const fs::path& target) {
  return beside(target, "partial");
}
fs::path complete_of(const fs::path& target) {
  return beside(target, "complete");
}
fs::path replaced_of(const fs::path& target) {
  return beside(target, "replaced");
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

Result<void> remove_whole(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return io_error(error.value(), path, "cannot be removed");
  return {};
}

Result<void> rename_to(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0)
    return io_error(errno, to, "cannot be put in place");
  return {};
}

// Changes the names of two folders in one step where the system can; false where it cannot.
bool exchange_names(const fs::path& one, const fs::path& other) {
#if defined(__linux__)
  return ::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0;
#elif defined(__APPLE__)
  return ::renamex_np(one.c_str(), other.c_str(), RENAME_SWAP) == 0;
#else
  return false;
#endif
}

Result<void> sync_path(const fs::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
  if (descriptor < 0) return io_error(errno, path, "cannot be opened");
  const int failed = sync_to_disk(descriptor);
  ::close(descriptor);
  // Some file systems cannot sync a folder; a rename has happened all the same.
  if (failed != 0 && !(flags == O_DIRECTORY && failed == EINVAL))
    return io_error(failed, path, "cannot be synced");
  return {};
}

Result<void> write_all(int descriptor, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ::ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return io_error(written < 0 ? errno : EIO, path, "cannot be written");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

Result<void> write_file_durably(const fs::path& path, std::string_view bytes) {
  const fs::path partial = partial_of(path);
  const int descriptor =
      ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) return io_error(errno, path, "cannot be written");
  Result<void> written = write_all(descriptor, bytes, path);
  if (written)
    if (const int failed = sync_to_disk(descriptor))
      written = io_error(failed, path, "cannot be synced");
  ::close(descriptor);
  if (written) written = rename_to(partial, path);
  if (!written) {
    ::unlink(partial.c_str());
    return written;
  }
  return sync_folder(folder_of(path));
}

Result<void> sync_folder(const fs::path& folder) {
  return sync_path(folder, O_DIRECTORY);
}

Result<FolderReplacement> FolderReplacement::begin(const fs::path& target) {
  BOBBY_CHECK(recover_folder(target));
  fs::path partial = partial_of(target);
  std::error_code error;
  fs::create_directories(partial, error);
  if (error) return io_error(error.value(), target, "cannot be made");
  return FolderReplacement(target, std::move(partial));
}

FolderReplacement::~FolderReplacement() {
  std::error_code ignored;
  if (!partial_.empty()) fs::remove_all(partial_, ignored);
}

Result<void> FolderReplacement::write(std::string_view file_name, std::string_view bytes) const {
  const fs::path file = partial_ / file_name;
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return io_error(errno, file, "cannot be written");
  Result<void> written = write_all(descriptor, bytes, file);
  if (::close(descriptor) != 0 && written) written = io_error(errno, file, "cannot be written");
  return written;
}

Result<void> FolderReplacement::commit() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(partial_, error))
    BOBBY_CHECK(sync_path(entry.path(), 0));
  if (error) return io_error(error.value(), partial_, "cannot be listed");
  BOBBY_CHECK(sync_folder(partial_));
  const fs::path complete = complete_of(target_);
  BOBBY_CHECK(rename_to(partial_, complete));
  partial_.clear();
  if (!is_there(target_)) {
    BOBBY_CHECK(rename_to(complete, target_));
  } else if (!exchange_names(complete, target_)) {
    // Between the two, recover_folder() finds the new one by its name.
    BOBBY_CHECK(rename_to(target_, replaced_of(target_)));
    BOBBY_CHECK(rename_to(complete, target_));
  }
  BOBBY_CHECK(sync_folder(folder_of(target_)));
  return recover_folder(target_);
}

Result<void> recover_folder(const fs::path& target) {
  if (!is_there(target) && is_there(complete_of(target)))
    BOBBY_CHECK(rename_to(complete_of(target), target));
  for (const fs::path& left : {partial_of(target), complete_of(target), replaced_of(target)})
    if (is_there(left)) BOBBY_CHECK(remove_whole(left));
  return {};
}

Result<AppendFile> AppendFile::open(const fs::path& path, std::int64_t size) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) return io_error(errno, path, "cannot be opened");
  AppendFile file(path, descriptor, size);
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0) return io_error(errno, path, "cannot be read");
  if (status.st_size < size)
    return fail({.code = ErrorCode::kMismatch,
                 .where = path.string(),
                 .problem = "is shorter than when the checkpoint was written",
                 .expected = fmt::format("{} bytes or more", size),
                 .found = fmt::format("{}", status.st_size)});
  if (status.st_size > size && ::ftruncate(descriptor, size) != 0)
    return io_error(errno, path, "cannot be cut");
  return file;
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> AppendFile::append(std::string_view bytes) {
  if (auto written = write_all(descriptor_, bytes, path_); !written) {
    // Half a line would spoil the file for those who read it; if even this fails, resuming cuts it.
    [[maybe_unused]] const int cut = ::ftruncate(descriptor_, size_);
    return written;
  }
  size_ += static_cast<std::int64_t>(bytes.size());
  return {};
}

Result<void> AppendFile::sync() {
  if (const int failed = sync_to_disk(descriptor_))
    return io_error(failed, path_, "cannot be synced");
  return {};
}

Result<FolderLock> FolderLock::take(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return io_error(errno, folder, "cannot be opened");
  FolderLock lock(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return io_error(errno, folder, "cannot be locked");
  return fail({.code = ErrorCode::kBusy,
               .where = folder.string(),
               .problem = "another process is training into this folder",
               .hint = "wait for it, or name another adapter_path"});
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace bobby
