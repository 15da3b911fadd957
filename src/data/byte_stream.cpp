#include "data/byte_stream.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <sys/stat.h>

namespace bobby::data {
namespace {

using namespace std::string_view_literals;

/// Of a call that gave `number`. Only a signal that is to end the work interrupts one.
Error cannot_be_read(int number) {
  if (number == EINTR) return {.code = ErrorCode::kCancelled, .problem = "interrupted"};
  return {.code = ErrorCode::kIo,
          .problem = std::string("cannot be read: ") + std::strerror(number)};
}

class FileStream final : public ByteStream {
 public:
  explicit FileStream(std::FILE* file) : file_(file, &std::fclose) {}

  Result<std::size_t> read(std::span<char> into) override {
    errno = 0;
    const std::size_t count = std::fread(into.data(), 1, into.size(), file_.get());
    if (count == 0 && std::ferror(file_.get()) != 0) return fail(cannot_be_read(errno));
    return count;
  }

 private:
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> open_file(const std::filesystem::path& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    const int number = errno;
    if (number != ENOENT) return fail(cannot_be_read(number).in(path.string()));
    return fail({.code = ErrorCode::kNotFound, .where = path.string(), .problem = "no such file"});
  }
  auto stream = std::make_unique<FileStream>(file);
  struct stat status = {};
  if (::fstat(::fileno(file), &status) == 0 && S_ISDIR(status.st_mode))
    return fail({.code = ErrorCode::kUsage,
                 .where = path.string(),
                 .problem = "is a folder",
                 .expected = "a file"});
  return stream;
}

void ReadProgress::add(std::uint64_t bytes) {
  done_ += bytes;
  if (watcher_) watcher_({.phase = "read", .done = done_, .total = total_});
}

Result<std::size_t> WatchedStream::read(std::span<char> into) {
  BOBBY_TRY(const std::size_t count, stream_->read(into));
  hash_.update(std::as_bytes(into.first(count)));
  bytes_ += count;
  progress_.add(count);
  return count;
}

SourceFile WatchedStream::finish(std::string name) {
  return {.name = std::move(name), .bytes = bytes_, .sha256 = hash_.hex_digest()};
}

Result<std::size_t> check_text_beginning(std::string_view beginning) {
  if (beginning.starts_with("\xEF\xBB\xBF")) return 3;
  for (const std::string_view mark : {"\xFF\xFE"sv, "\xFE\xFF"sv, "\0\0\xFE\xFF"sv})
    if (beginning.starts_with(mark))
      return fail({.code = ErrorCode::kMalformed,
                   .problem = "is not UTF-8",
                   .expected = "UTF-8 text",
                   .found = "the byte order mark of UTF-16 or UTF-32",
                   .hint = "save it as UTF-8"});
  if (beginning.find('\0') != std::string_view::npos)
    return fail({.code = ErrorCode::kMalformed,
                 .problem = "is not text",
                 .expected = "UTF-8 text",
                 .found = "NUL bytes, as UTF-16 or a binary file has",
                 .hint = "save it as UTF-8"});
  return 0;
}

}  // namespace bobby::data
