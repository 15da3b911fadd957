#include "data/archive.h"

#include <algorithm>
#include <system_error>

namespace bobby::data {

namespace fs = std::filesystem;

Result<std::unique_ptr<Archive>> Archive::open(const fs::path& path, std::string_view extension) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    return fail({.code = ErrorCode::kNotFound,
                 .where = path.string(),
                 .problem = "no such folder or file"});
  return fs::is_directory(status) ? detail::open_folder(path, extension)
                                  : detail::open_zip(path, extension);
}

const ArchiveFile* Archive::find(std::string_view name) const {
  const auto at = std::ranges::lower_bound(files_, name, {}, &ArchiveFile::name);
  return at != files_.end() && at->name == name ? &*at : nullptr;
}

bool stays_inside(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\\') != std::string_view::npos ||
      path.find(':') != std::string_view::npos || path.find('\0') != std::string_view::npos)
    return false;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (path.substr(0, slash) == "..") return false;
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return true;
}

}  // namespace bobby::data
