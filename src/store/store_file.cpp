#include "store/store_file.h"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/sync_file.h"

namespace bobby::store {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> system_error(const fs::path& path, std::string_view problem, int number) {
  return fail({.code = ErrorCode::kIo,
               .where = path.string(),
               .problem = std::string(problem),
               .found = std::generic_category().message(number)});
}

Result<void> ensure_private_folder(const fs::path& folder) {
  std::error_code error;
  if (folder.empty() || fs::is_directory(folder, error)) return {};
  BOBBY_CHECK(ensure_private_folder(folder.parent_path()));
  if (::mkdir(folder.c_str(), 0700) != 0 && !(errno == EEXIST && fs::is_directory(folder, error)))
    return system_error(folder, "the folder cannot be made", errno);
  return {};
}

}  // namespace

Result<void> ensure_private_file(const fs::path& path) {
  if (!path.has_filename())
    return fail(
        {.code = ErrorCode::kUsage, .where = path.string(), .problem = "is no name of a file"});
  BOBBY_CHECK(ensure_private_folder(path.parent_path()));
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.value() < 0 && errno != EEXIST) return system_error(path, "cannot be made", errno);
  std::error_code error;
  if (fs::is_directory(path, error))
    return fail({.code = ErrorCode::kUsage, .where = path.string(), .problem = "is a folder"});
  return {};
}

Result<void> make_private(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return system_error(path, "cannot be read", errno);
  if (status.st_uid != ::geteuid() || (status.st_mode & 077) == 0) return {};
  if (::chmod(path.c_str(), 0600) != 0)
    return system_error(path, "its mode cannot be changed", errno);
  return {};
}

Result<void> flush_file(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.value() < 0) return system_error(path, "cannot be opened", errno);
  if (const int failed = sync_to_disk(file.value()))
    return system_error(path, "cannot be written", failed);
  return {};
}

}  // namespace bobby::store
