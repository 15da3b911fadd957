#include "base/output_folder.h"

#include <fmt/format.h>
#include <fstream>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace bobby {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> io_error(const fs::path& path, std::string_view what,
                               const std::error_code& error) {
  return fail({.code = ErrorCode::kIo,
               .where = path.string(),
               .problem = fmt::format("{}: {}", what, error.message())});
}

}  // namespace

Result<OutputFolder> OutputFolder::create(const fs::path& target, Existing existing) {
  std::error_code error;
  const fs::path name = target.has_filename() ? target : target.parent_path();  // "out/" is "out"
  if (name.empty())
    return fail({.code = ErrorCode::kUsage, .problem = "no output folder is named"});
  const fs::file_status found = fs::symlink_status(name, error);
  if (fs::exists(found) && existing == Existing::kRefuse)
    return fail({.code = ErrorCode::kUsage,
                 .where = target.string(),
                 .problem = "exists already",
                 .hint = "remove it or name another folder"});
  if (fs::exists(found) && !fs::is_directory(found))
    return fail({.code = ErrorCode::kUsage,
                 .where = target.string(),
                 .problem = "exists already and is not a folder, so it is not replaced"});
  fs::path partial =
      name.parent_path() / fmt::format(".{}.partial-{}", name.filename().string(), ::getpid());
  fs::remove_all(partial, error);  // of a process that died and had our id
  fs::create_directories(partial, error);
  if (error) return io_error(target, "cannot be made", error);
  return OutputFolder(name, std::move(partial));
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : target_(std::move(other.target_)), partial_(std::exchange(other.partial_, {})) {}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!partial_.empty()) fs::remove_all(partial_, ignored);
}

Result<void> OutputFolder::write_text(std::string_view file_name, std::string_view text) const {
  std::ofstream stream(partial_ / file_name, std::ios::binary);
  stream << text;
  stream.close();
  if (!stream)
    return fail({.code = ErrorCode::kIo,
                 .where = (target_ / file_name).string(),
                 .problem = "cannot be written"});
  return {};
}

Result<void> OutputFolder::commit() {
  std::error_code error;
  // rename() replaces an empty folder alone, so one with files steps aside first.
  fs::path former;
  if (fs::exists(fs::symlink_status(target_, error))) {
    former = partial_.string() + ".former";
    fs::rename(target_, former, error);
    if (error) return io_error(target_, "cannot be replaced", error);
  }
  fs::rename(partial_, target_, error);
  if (error) {
    std::error_code ignored;
    if (!former.empty()) fs::rename(former, target_, ignored);
    return io_error(target_, "cannot be put in place", error);
  }
  partial_.clear();
  if (!former.empty()) fs::remove_all(former, error);
  return {};
}

}  // namespace bobby
