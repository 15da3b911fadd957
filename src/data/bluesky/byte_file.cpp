#include "data/bluesky/byte_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bobby::data {

void ByteFile::Close::operator()(const int* descriptor) const {
  ::close(*descriptor);
  delete descriptor;
}

ByteFile::ByteFile(int descriptor, std::uint64_t size)
    : descriptor_(new int(descriptor)), size_(size) {}

Result<ByteFile> ByteFile::open(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const int error = errno;
    return fail({.code = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                 .problem = std::strerror(error)});
  }
  ByteFile file(descriptor, 0);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))
    return fail({.code = ErrorCode::kIo, .problem = "is no plain file"});
  file.size_ = static_cast<std::uint64_t>(status.st_size);
  return file;
}

Result<Bytes> ByteFile::view(std::uint64_t offset, std::size_t wanted, std::size_t ahead) {
  if (offset >= size_) return Bytes();
  const std::uint64_t left = size_ - offset;
  wanted = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, left));
  if (offset < begin_ || offset + wanted > begin_ + window_.size()) {
    const auto length =
        static_cast<std::size_t>(std::min<std::uint64_t>(std::max(wanted, ahead), left));
    begin_ = offset;
    window_.resize(length);
    for (std::size_t done = 0; done < length;) {
      const ssize_t count = ::pread(*descriptor_, window_.data() + done, length - done,
                                    static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        const int error = errno;
        window_.clear();
        return fail({.code = ErrorCode::kIo,
                     .problem = count == 0 ? "has become shorter while it was read"
                                           : std::strerror(error)});
      }
      done += static_cast<std::size_t>(count);
    }
  }
  return Bytes(window_).subspan(static_cast<std::size_t>(offset - begin_), wanted);
}

}  // namespace bobby::data
