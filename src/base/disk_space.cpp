#include "base/disk_space.h"

#include <fmt/format.h>
#include <system_error>

namespace bobby {

namespace fs = std::filesystem;

Result<void> check_disk_space(const fs::path& path, std::uint64_t bytes) {
  std::error_code error;
  fs::path there = fs::absolute(path, error);
  while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  const fs::space_info space = fs::space(there, error);
  if (error || space.available == static_cast<std::uintmax_t>(-1) || space.available >= bytes)
    return {};
  return fail({.code = ErrorCode::kLimit,
               .where = path.string(),
               .problem = "there is not enough room on the disk",
               .expected = fmt::format("{:.2f} GB free", static_cast<double>(bytes) / 1e9),
               .found = fmt::format("{:.2f} GB", static_cast<double>(space.available) / 1e9)});
}

}  // namespace bobby
