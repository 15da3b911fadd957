#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <system_error>
#include <zip.h>

#include "data/archive.h"

namespace bobby::data::detail {
namespace {

namespace fs = std::filesystem;

// deflate reaches 1000:1 on what says nothing; the densest real archives are far below 100:1.
constexpr std::uint64_t kMostGrowth = 200;
constexpr std::uint64_t kGrowthMattersFrom = std::uint64_t{64} << 20;

using ZipHandle = std::unique_ptr<zip_t, decltype(&zip_discard)>;
using ZipFileHandle = std::unique_ptr<zip_file_t, decltype(&zip_fclose)>;

class ZipStream final : public ByteStream {
 public:
  /// `packed`: the bytes that the file takes in the archive.
  ZipStream(ZipFileHandle file, std::uint64_t packed) : file_(std::move(file)), packed_(packed) {}

  Result<std::size_t> read(std::span<char> into) override {
    const zip_int64_t count = zip_fread(file_.get(), into.data(), into.size());
    if (count < 0)
      return fail({.code = ErrorCode::kMalformed,
                   .problem = fmt::format("does not unpack: {}",
                                          zip_error_strerror(zip_file_get_error(file_.get()))),
                   .hint = "download the archive again"});
    unpacked_ += static_cast<std::uint64_t>(count);
    if (unpacked_ > kGrowthMattersFrom && unpacked_ / kMostGrowth > packed_)
      return fail({.code = ErrorCode::kLimit,
                   .problem = "unpacks to too much to be an archive of posts",
                   .expected = fmt::format("at most {} times its {} bytes", kMostGrowth, packed_),
                   .found = fmt::format("{} bytes and more", unpacked_)});
    return static_cast<std::size_t>(count);
  }

 private:
  ZipFileHandle file_;
  std::uint64_t packed_;
  std::uint64_t unpacked_ = 0;
};

class ZipArchive final : public Archive {
 public:
  ZipArchive(ZipHandle zip, std::uint64_t archive_bytes)
      : zip_(std::move(zip)), archive_bytes_(archive_bytes) {}

  Result<void> list(std::string_view extension) {
    const zip_int64_t count = zip_get_num_entries(zip_.get(), 0);
    for (zip_uint64_t index = 0; index < static_cast<zip_uint64_t>(std::max<zip_int64_t>(count, 0));
         ++index) {
      const char* raw_name = zip_get_name(zip_.get(), index, ZIP_FL_ENC_GUESS);
      const std::string name = raw_name == nullptr ? "" : raw_name;
      if (!stays_inside(name))
        return fail({.code = ErrorCode::kMalformed,
                     .where = fmt::format("entry \"{}\"", name),
                     .problem = "is a path that leads out of the archive",
                     .hint = "this is not as the archive was made; do not unpack it"});
      zip_stat_t status = {};
      if (!name.ends_with(extension) || zip_stat_index(zip_.get(), index, 0, &status) != 0)
        continue;
      if (!index_.emplace(name, index).second)
        return fail({.code = ErrorCode::kMalformed,
                     .where = fmt::format("entry \"{}\"", name),
                     .problem = "stands in the archive twice"});
      files_.push_back({.name = name, .bytes = status.size});
    }
    std::ranges::sort(files_, {}, &ArchiveFile::name);
    return {};
  }

  Result<std::unique_ptr<ByteStream>> open_file(std::string_view name) override {
    const zip_uint64_t index = index_.find(name)->second;
    zip_stat_t status = {};
    zip_stat_index(zip_.get(), index, 0, &status);
    ZipFileHandle file(zip_fopen_index(zip_.get(), index, 0), &zip_fclose);
    if (!file)
      return fail({.code = ErrorCode::kMalformed,
                   .where = std::string(name),
                   .problem = fmt::format("cannot be unpacked: {}", zip_strerror(zip_.get())),
                   .hint = "unpack the archive and import the folder"});
    const std::uint64_t packed = std::min<std::uint64_t>(status.comp_size, archive_bytes_);
    return std::make_unique<ZipStream>(std::move(file), packed);
  }

 private:
  ZipHandle zip_;
  std::uint64_t archive_bytes_;
  std::map<std::string, zip_uint64_t, std::less<>> index_;
};

}  // namespace

Result<std::unique_ptr<Archive>> open_zip(const fs::path& path, std::string_view extension) {
  int code = 0;
  ZipHandle zip(zip_open(path.c_str(), ZIP_RDONLY, &code), &zip_discard);
  if (!zip) {
    zip_error_t reason;
    zip_error_init_with_code(&reason, code);
    const std::string text = zip_error_strerror(&reason);
    zip_error_fini(&reason);
    const bool damaged = code == ZIP_ER_NOZIP || code == ZIP_ER_INCONS;
    return fail({.code = damaged ? ErrorCode::kMalformed : ErrorCode::kIo,
                 .where = path.string(),
                 .problem = damaged ? "is not a whole .zip file" : "cannot be read",
                 .expected = damaged ? "a folder or a .zip file" : "",
                 .found = text,
                 .hint = damaged ? "the download may have been cut short" : ""});
  }
  std::error_code error;
  const std::uint64_t bytes = fs::file_size(path, error);
  auto archive = std::make_unique<ZipArchive>(std::move(zip), error ? 0 : bytes);
  if (auto listed = archive->list(extension); !listed)
    return fail(std::move(listed).error().in(path.string()));
  return archive;
}

}  // namespace bobby::data::detail
