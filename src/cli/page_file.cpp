#include "cli/page_file.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>

namespace bobby::cli {

Result<void> write_page(const std::string& file, const std::string& page) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  errno = 0;
  if (!stream.write(page.data(), static_cast<std::streamsize>(page.size())) || !stream.flush())
    return fail({.code = ErrorCode::kIo,
                 .where = file,
                 .problem = fmt::format("cannot be written ({})", std::strerror(errno))});
  return {};
}

}  // namespace bobby::cli
