#include "hub/cache/incomplete_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/sync_file.h"

namespace bobby::hub {
namespace {

constexpr mode_t kMode = 0666;  // less the umask
constexpr std::size_t kChunk = std::size_t{1} << 20;

}  // namespace

IncompleteFile::IncompleteFile(std::filesystem::path path, int file, HashKind kind,
                               std::optional<std::uint64_t> expected)
    : path_(std::move(path)), file_(file), kind_(kind), expected_(expected) {
  begin_hash();
}

IncompleteFile::IncompleteFile(IncompleteFile&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      kind_(other.kind_),
      expected_(other.expected_),
      hash_(std::move(other.hash_)),
      size_(other.size_) {}

IncompleteFile::~IncompleteFile() {
  if (file_ >= 0) ::close(file_);
}

tl::unexpected<Error> IncompleteFile::failed(const char* what) const {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return fail({.code = full ? ErrorCode::kLimit : ErrorCode::kIo,
               .where = path_.string(),
               .problem = fmt::format("{}: {}", what, std::strerror(error)),
               .hint = full ? "make room and pull again: what is here is kept" : ""});
}

void IncompleteFile::begin_hash() {
  hash_.reset();
  if (expected_ || kind_ == HashKind::kSha256) hash_.emplace(kind_, expected_.value_or(0));
}

Result<IncompleteFile> IncompleteFile::open(const std::filesystem::path& path, HashKind kind,
                                            std::optional<std::uint64_t> size) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kMode);
  IncompleteFile incomplete(path, file, kind, size);
  struct stat status = {};
  if (file < 0 || ::fstat(file, &status) != 0) return incomplete.failed("cannot be opened");
  incomplete.size_ = static_cast<std::uint64_t>(status.st_size);
  if (size && incomplete.size_ > *size) BOBBY_CHECK(incomplete.clear());
  return incomplete;
}

Result<void> IncompleteFile::read_again(const net::Watch& watch) {
  if (size_ == 0) return {};
  std::vector<std::byte> chunk(kChunk);
  std::uint64_t at = 0;
  while (at < size_) {
    const ssize_t count = ::pread(file_, chunk.data(), chunk.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed("cannot be read");
    if (count == 0) break;
    const auto bytes = std::span(chunk).first(static_cast<std::size_t>(count));
    if (hash_) hash_->update(bytes);
    at += bytes.size();
    if (watch) watch();
  }
  size_ = at;
  return {};
}

Result<void> IncompleteFile::append(std::span<const std::byte> bytes) {
  const auto all = bytes;
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file_, bytes.data(), bytes.size(),
                                   static_cast<off_t>(size_ + all.size() - bytes.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed("cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  if (hash_) hash_->update(all);
  size_ += all.size();
  return {};
}

Result<void> IncompleteFile::clear() {
  if (::ftruncate(file_, 0) != 0) return failed("cannot be emptied");
  size_ = 0;
  begin_hash();
  return {};
}

Result<bool> IncompleteFile::is_whole(const std::string& etag, const net::Watch& watch) {
  if (expected_ && size_ != *expected_) return false;
  if (hash_) return hash_->hex_digest() == etag;
  BOBBY_TRY(const std::string digest, hash_file(path_, kind_, watch));
  return digest == etag;
}

Result<void> IncompleteFile::rename_to(const std::filesystem::path& blob) {
  if (const int error = sync_to_disk(file_)) {
    errno = error;
    return failed("cannot be written");
  }
  if (::rename(path_.c_str(), blob.c_str()) != 0) return failed("cannot be put in place");
  return {};
}

void IncompleteFile::remove() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace bobby::hub
