#include "hub/resumable_folder.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "base/sync_file.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNotes = ".resume";
constexpr std::string_view kPlan = "plan.json";

tl::unexpected<Error> io_error(const fs::path& path, std::string_view what,
                               const std::error_code& error) {
  return fail({.code = ErrorCode::kIo,
               .where = path.string(),
               .problem = fmt::format("{}: {}", what, error.message())});
}

std::error_code last_error() {
  return {errno, std::generic_category()};
}

/// "out/" is "out".
fs::path named(const fs::path& target) {
  return target.has_filename() ? target : target.parent_path();
}

std::string read_text(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

Result<void> remove_contents(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    fs::remove_all(entry->path(), error);
  if (error) return io_error(folder, "cannot be emptied", error);
  return {};
}

/// Writes and syncs a file that is new. The system's own word for what it refused.
std::error_code write_synced(const fs::path& path, std::string_view text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return last_error();
  std::error_code error;
  while (!text.empty() && !error) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno != EINTR) error = last_error();
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (!error) error = {sync_to_disk(file), std::generic_category()};
  ::close(file);
  return error;
}

}  // namespace

fs::path ResumableFolder::partial_of(const fs::path& target) {
  const fs::path name = named(target);
  return name.parent_path() / fmt::format(".{}.partial", name.filename().string());
}

Result<ResumableFolder> ResumableFolder::open(const fs::path& target, std::string_view plan) {
  std::error_code error;
  const fs::path name = named(target);
  if (name.empty())
    return fail({.code = ErrorCode::kUsage, .problem = "no output folder is named"});
  if (fs::exists(fs::symlink_status(name, error)))
    return fail({.code = ErrorCode::kUsage,
                 .where = target.string(),
                 .problem = "exists already",
                 .hint = "remove it or name another folder"});
  fs::path partial = partial_of(name);
  fs::create_directories(partial, error);
  if (error) return io_error(target, "cannot be made", error);
  const int lock = ::open(partial.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock < 0) return io_error(partial, "cannot be opened", last_error());
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    const std::error_code refused = last_error();
    ::close(lock);
    if (refused.value() != EWOULDBLOCK) return io_error(partial, "cannot be locked", refused);
    return fail({.code = ErrorCode::kBusy,
                 .where = target.string(),
                 .problem = "another process is making this folder"});
  }
  ResumableFolder folder(name, std::move(partial), lock);
  if (read_text(folder.notes() / kPlan) == plan) {
    folder.keep();
    return folder;
  }
  BOBBY_CHECK(remove_contents(folder.path()));
  fs::create_directory(folder.notes(), error);
  if (error) return io_error(folder.notes(), "cannot be made", error);
  BOBBY_CHECK(folder.write_text(folder.notes() / kPlan, plan));
  return folder;
}

ResumableFolder::ResumableFolder(ResumableFolder&& other) noexcept
    : target_(std::move(other.target_)),
      partial_(std::exchange(other.partial_, {})),
      lock_(std::exchange(other.lock_, -1)),
      keep_(other.keep_) {}

ResumableFolder::~ResumableFolder() {
  std::error_code ignored;
  if (!partial_.empty() && !keep_) fs::remove_all(partial_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

fs::path ResumableFolder::notes() const {
  return partial_ / kNotes;
}

Result<void> ResumableFolder::write_text(const fs::path& file, std::string_view text) const {
  const fs::path temporary = file.string() + ".new";
  std::error_code error = write_synced(temporary, text);
  if (!error) fs::rename(temporary, file, error);
  if (error) return io_error(file, "cannot be written", error);
  return {};
}

Result<void> ResumableFolder::commit() {
  std::error_code error;
  fs::rename(partial_, target_, error);
  if (error) return io_error(target_, "cannot be put in place", error);
  partial_.clear();
  fs::remove_all(target_ / kNotes, error);
  if (error) return io_error(target_ / kNotes, "cannot be removed", error);
  return {};
}

}  // namespace bobby
