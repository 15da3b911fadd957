#include "safetensors/mapped_file.h"

#include <cerrno>
#include <fcntl.h>
#include <limits>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "system_error.h"

namespace safetensors {
namespace {

Result<const std::byte*> map(int descriptor, std::size_t size, const std::string& name) {
  if (size == 0) return nullptr;  // mmap refuses an empty range
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (start == MAP_FAILED) return fail(system_error(errno, name, "cannot map the file"));
  return static_cast<const std::byte*>(start);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const std::string name = path.string();
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!descriptor) return fail(system_error(errno, name, "cannot open the file"));
  struct stat status = {};
  if (::fstat(descriptor.get(), &status) != 0)
    return fail(system_error(errno, name, "cannot read the file's size"));
  if (!S_ISREG(status.st_mode))
    return fail({.code = ErrorCode::kNotAFile,
                 .file = name,
                 .problem = S_ISDIR(status.st_mode) ? "is a directory, not a file"
                                                    : "is not a regular file"});
  if (std::cmp_greater(status.st_size, std::numeric_limits<std::size_t>::max()))
    return fail({.code = ErrorCode::kIo, .file = name, .problem = "is too large to map"});
  const auto size = static_cast<std::size_t>(status.st_size);
  const Result<const std::byte*> data = map(descriptor.get(), size, name);
  if (!data) return fail(data.error());
  return MappedFile(*data, size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::advise(std::span<const std::byte> range, Advice advice) const {
  if (range.empty()) return;
  const int flag = advice == Advice::kSequential ? POSIX_MADV_SEQUENTIAL
                   : advice == Advice::kRandom   ? POSIX_MADV_RANDOM
                   : advice == Advice::kWillNeed ? POSIX_MADV_WILLNEED
                                                 : POSIX_MADV_NORMAL;
  // The call wants whole pages; data_ is the start of one.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = static_cast<std::size_t>(range.data() - data_) / page * page;
  const std::size_t end = static_cast<std::size_t>(range.data() - data_) + range.size();
  ::posix_madvise(const_cast<std::byte*>(data_) + begin, end - begin, flag);
}

}  // namespace safetensors
