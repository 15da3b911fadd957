#include "hub/page_stream.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace bobby {
namespace {

using Bytes = std::span<const std::byte>;

std::uintptr_t page_size() {
  static const auto size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

/// Whole pages that `bytes` touches.
Bytes pages_of(Bytes bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t from = begin / page_size() * page_size();
  const std::uintptr_t to = (begin + bytes.size() + page_size() - 1) / page_size() * page_size();
  return {reinterpret_cast<const std::byte*>(from), to - from};
}

void advise(Bytes pages, int advice) {
  ::madvise(const_cast<std::byte*>(pages.data()), pages.size(), advice);
}

/// Where the bytes begin in their file.
::off_t place_of(const PageStream::Part& part) {
  const auto* first = part.file->tensors().front().data.data();
  return static_cast<::off_t>(static_cast<std::uint64_t>(part.bytes.data() - first) +
                              part.file->data_begin());
}

#ifdef __APPLE__
/// Has the part read in one piece: touching its pages would read it in many.
void read_part(const PageStream::Part& part, int file) {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // a call's count is an int
  for (std::size_t at = 0; file >= 0 && at < part.bytes.size(); at += kMost) {
    ::radvisory wanted = {.ra_offset = place_of(part) + static_cast<::off_t>(at),
                          .ra_count = static_cast<int>(std::min(kMost, part.bytes.size() - at))};
    ::fcntl(file, F_RDADVISE, &wanted);
  }
}
#endif

/// Returns once the pages are in memory and mapped.
void populate(Bytes pages) {
#ifdef __linux__
  constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, of Linux 5.14
  advise(pages, MADV_SEQUENTIAL);
  if (::madvise(const_cast<std::byte*>(pages.data()), pages.size(), kPopulateRead) == 0) return;
#endif
  advise(pages, MADV_WILLNEED);
  for (std::size_t i = 0; i < pages.size(); i += page_size()) {
    const volatile std::byte touched = pages[i];
    static_cast<void>(touched);
  }
}

}  // namespace

PageStream::PageStream(std::vector<Part> parts, std::size_t ahead)
    : parts_(std::move(parts)), ahead_(ahead) {
  for (const Part& part : parts_)
    if (!descriptors_.contains(part.file))
      descriptors_[part.file] = ::open(part.file->name().c_str(), O_RDONLY | O_CLOEXEC);
  thread_ = std::thread([this] { read_ahead(); });
}

PageStream::~PageStream() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
  for (const auto& [file, descriptor] : descriptors_)
    if (descriptor >= 0) ::close(descriptor);
}

void PageStream::read_ahead() {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopped_ || i <= dropped_ + ahead_; });
      if (stopped_) return;
    }
    if (!parts_[i].bytes.empty()) {
#ifdef __APPLE__
      read_part(parts_[i], descriptors_.at(parts_[i].file));
#endif
      populate(pages_of(parts_[i].bytes));
    }
    {
      const std::lock_guard lock(mutex_);
      read_ = i + 1;
    }
    changed_.notify_all();
  }
}

void PageStream::wait_for(std::size_t index) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return read_ > index; });
}

void PageStream::drop(std::size_t index) {
  const Part& part = parts_[index];
  if (!part.bytes.empty()) {
    // The page that the next part begins in stays mapped for it.
    Bytes pages = pages_of(part.bytes);
    const std::byte* end = part.bytes.data() + part.bytes.size();
    if (pages.data() + pages.size() != end && pages.size() > page_size())
      pages = pages.first(pages.size() - page_size());
    advise(pages, MADV_DONTNEED);
#ifdef __linux__
    // From the file's start: pages come in larger pieces, which go only when none of them is used.
    const ::off_t length = place_of(part) + static_cast<::off_t>(part.bytes.size());
    if (const int file = descriptors_.at(part.file); file >= 0)
      ::posix_fadvise(file, 0, length, POSIX_FADV_DONTNEED);
#endif
  }
  {
    const std::lock_guard lock(mutex_);
    dropped_ = index + 1;
  }
  changed_.notify_all();
}

}  // namespace bobby
