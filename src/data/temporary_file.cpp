#include "data/temporary_file.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace bobby::data {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

tl::unexpected<Error> io_error(const std::string& folder, std::string_view what, int number) {
  return fail({.code = ErrorCode::kIo,
               .where = folder,
               .problem = fmt::format("a temporary file there cannot be {}: {}", what,
                                      std::strerror(number))});
}

}  // namespace

Result<TemporaryFile> TemporaryFile::create(const std::filesystem::path& folder) {
  std::string name = (folder / ".bobby-XXXXXX").string();
  const int descriptor = ::mkstemp(name.data());
  if (descriptor < 0) return io_error(folder.string(), "made", errno);
  ::unlink(name.c_str());
  return TemporaryFile(descriptor, folder.string());
}

TemporaryFile::TemporaryFile(TemporaryFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      folder_(std::move(other.folder_)),
      written_(other.written_),
      pending_(std::move(other.pending_)) {}

TemporaryFile::~TemporaryFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> TemporaryFile::append(std::string_view bytes) {
  pending_ += bytes;
  return pending_.size() < kBufferBytes ? Result<void>() : flush();
}

Result<void> TemporaryFile::flush() {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const ssize_t count =
        ::pwrite(descriptor_, rest.data(), rest.size(), static_cast<off_t>(written_));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return io_error(folder_, "written", count < 0 ? errno : ENOSPC);
    rest.remove_prefix(static_cast<std::size_t>(count));
    written_ += static_cast<std::uint64_t>(count);
  }
  pending_.clear();
  return {};
}

Result<void> TemporaryFile::read(std::uint64_t offset, std::span<char> into) {
  if (offset + into.size() > written_) BOBBY_CHECK(flush());
  while (!into.empty()) {
    const ssize_t count =
        ::pread(descriptor_, into.data(), into.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return io_error(folder_, "read", count < 0 ? errno : EIO);
    into = into.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

}  // namespace bobby::data
