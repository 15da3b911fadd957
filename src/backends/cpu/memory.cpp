#include "backends/cpu/memory.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/mman.h>

namespace bobby::cpu {
namespace {

class Pages : public Buffer {
 public:
  Pages(void* data, std::size_t size, std::size_t mapped)
      : data_(data), size_(size), mapped_(mapped) {}
  ~Pages() override { ::munmap(data_, mapped_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  void* data() const override { return data_; }
  std::size_t size() const override { return size_; }

 private:
  void* data_;
  std::size_t size_;
  std::size_t mapped_;
};

}  // namespace

Result<std::unique_ptr<Buffer>> map_memory(std::size_t bytes) {
  const std::size_t mapped = std::max<std::size_t>(bytes, 1);
  void* data = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED)
    return fail({.code = ErrorCode::kLimit,
                 .problem = fmt::format("the system gives no {} bytes of memory: {}", bytes,
                                        std::strerror(errno))});
  return std::make_unique<Pages>(data, bytes, mapped);
}

}  // namespace bobby::cpu
