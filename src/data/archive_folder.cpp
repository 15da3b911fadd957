#include <algorithm>
#include <system_error>

#include "data/archive.h"

namespace bobby::data::detail {
namespace {

namespace fs = std::filesystem;

// archive/twitter-2024/data/js/tweets/2013_01.js; media folders hold files by the hundred thousand.
constexpr int kDepth = 3;

class FolderArchive final : public Archive {
 public:
  explicit FolderArchive(fs::path root) : root_(std::move(root)) {}

  Result<void> list(std::string_view extension) {
    std::error_code error;
    auto entry = fs::recursive_directory_iterator(
        root_, fs::directory_options::skip_permission_denied, error);
    for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      if (entry->is_directory(error)) {
        if (entry.depth() >= kDepth || name.ends_with("_media")) entry.disable_recursion_pending();
        continue;
      }
      if (!name.ends_with(extension) || !entry->is_regular_file(error)) continue;
      files_.push_back({.name = entry->path().lexically_relative(root_).generic_string(),
                        .bytes = entry->file_size(error)});
    }
    if (error)
      return fail({.code = ErrorCode::kIo,
                   .where = root_.string(),
                   .problem = "cannot be read: " + error.message()});
    std::ranges::sort(files_, {}, &ArchiveFile::name);
    return {};
  }

  Result<std::unique_ptr<ByteStream>> open_file(std::string_view name) override {
    std::error_code error;
    const fs::path path = root_ / name;
    const fs::path real = fs::canonical(path, error);
    const fs::path root = fs::canonical(root_, error);
    if (!error && !stays_inside(real.lexically_relative(root).generic_string()))
      return fail({.code = ErrorCode::kMalformed,
                   .where = std::string(name),
                   .problem = "is a link that leads out of the archive",
                   .found = real.string(),
                   .hint = "copy the file itself there"});
    auto stream = data::open_file(path);
    if (!stream) {
      Error failed = std::move(stream).error();
      failed.where = name;
      return fail(std::move(failed));
    }
    return stream;
  }

 private:
  fs::path root_;
};

}  // namespace

Result<std::unique_ptr<Archive>> open_folder(const fs::path& path, std::string_view extension) {
  auto archive = std::make_unique<FolderArchive>(path);
  BOBBY_CHECK(archive->list(extension));
  return archive;
}

}  // namespace bobby::data::detail
