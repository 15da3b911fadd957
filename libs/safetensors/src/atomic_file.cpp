#include "atomic_file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace safetensors {
namespace fs = std::filesystem;
namespace {

fs::path folder_of(const fs::path& target) {
  return target.has_parent_path() ? target.parent_path() : fs::path(".");
}

// Unique among the processes of a machine and the threads of a process. Short and independent of
// the target's name, which may be as long as a name can be.
fs::path temporary_name(const fs::path& folder) {
  static std::atomic<std::uint64_t> counter = 0;
  return folder / (".safetensors-" + std::to_string(::getpid()) + "-" +
                   std::to_string(counter.fetch_add(1)) + ".tmp");
}

// 0, or what errno says. On Apple's systems fsync() leaves the bytes in the drive's own cache, and
// F_FULLFSYNC, which does not, is unknown to some file systems.
int sync_to_disk(const Descriptor& descriptor) {
#if defined(F_FULLFSYNC)
  if (::fcntl(descriptor.get(), F_FULLFSYNC) == 0) return 0;
#endif
  return ::fsync(descriptor.get()) == 0 ? 0 : errno;
}

Result<void> sync_folder(const fs::path& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot sync a folder (EINVAL); the rename has happened all the same.
  const int failed = descriptor ? sync_to_disk(descriptor) : 0;
  if (failed != 0 && failed != EINVAL)
    return fail(system_error(failed, folder.string(), "cannot sync the folder"));
  return {};
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const fs::path& target, unsigned mode, bool write_behind) {
  std::error_code ignored;
  const fs::file_status status = fs::status(target, ignored);
  if (!target.has_filename() || (fs::exists(status) && !fs::is_regular_file(status)))
    return fail({.code = ErrorCode::kNotAFile,
                 .file = target.string(),
                 .problem = "cannot be written: it is not a regular file"});
  for (;;) {
    fs::path temporary = temporary_name(folder_of(target));
    Descriptor descriptor(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    if (descriptor) {
#ifdef __APPLE__
      // Here the system itself is told to keep nothing of what is written.
      if (write_behind) ::fcntl(descriptor.get(), F_NOCACHE, 1);
#endif
      AtomicFile file(target, std::move(temporary), std::move(descriptor));
      if (write_behind) file.behind_.emplace();
      return file;
    }
    // A file left by a dead process that had our number: take the next name.
    if (errno != EEXIST)
      return fail(
          system_error(errno, target.string(), "cannot create a temporary file in its folder"));
  }
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t begin = offset;
  const std::uint64_t size = bytes.size();
  while (!bytes.empty()) {
    // Linux writes at most 2 GiB a call; other systems refuse more.
    const std::size_t length = std::min(bytes.size(), std::size_t{1} << 30);
    const ::ssize_t written =
        ::pwrite(descriptor_.get(), bytes.data(), length, static_cast<::off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      return fail(system_error(written < 0 ? errno : EIO, target_.string(), "cannot write"));
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  if (behind_) write_out(begin, size);
  return {};
}

// Asks for the range to be written now, then waits for the oldest ones while too much is under way.
// Failures have no effect here: finish() syncs the file, and says what the disk refused.
void AtomicFile::write_out(std::uint64_t offset, std::uint64_t length) {
#ifdef __linux__
  constexpr std::uint64_t kUnderWay = std::uint64_t{32} << 20;
  ::sync_file_range(descriptor_.get(), static_cast<::off64_t>(offset),
                    static_cast<::off64_t>(length), SYNC_FILE_RANGE_WRITE);
  behind_->ranges.push_back({offset, length});
  behind_->bytes += length;
  while (behind_->bytes > kUnderWay) {
    const WriteBehind::Range oldest = behind_->ranges.front();
    behind_->ranges.pop_front();
    behind_->bytes -= oldest.length;
    const auto from = static_cast<::off64_t>(oldest.offset);
    const auto count = static_cast<::off64_t>(oldest.length);
    ::sync_file_range(
        descriptor_.get(), from, count,
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    ::posix_fadvise(descriptor_.get(), from, count, POSIX_FADV_DONTNEED);
  }
#endif
}

Result<void> AtomicFile::commit() {
  if (const int failed = sync_to_disk(descriptor_))
    return fail(system_error(failed, target_.string(), "cannot sync the file"));
#ifdef __linux__
  if (behind_) ::posix_fadvise(descriptor_.get(), 0, 0, POSIX_FADV_DONTNEED);
#endif
  if (::rename(temporary_.c_str(), target_.c_str()) != 0)
    return fail(system_error(errno, target_.string(), "cannot rename the temporary file to it"));
  temporary_.clear();
  return sync_folder(folder_of(target_));
}

}  // namespace safetensors
