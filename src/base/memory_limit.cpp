#include "base/memory_limit.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <unistd.h>

#if defined(__APPLE__)
#include <mach/mach.h>
#include <sys/sysctl.h>
#endif

#include "base/cgroup.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

std::optional<std::uint64_t> number_in(const fs::path& file) {
  std::ifstream stream(file);
  std::uint64_t value = 0;
  if (stream >> value) return value;
  return std::nullopt;  // not there, or "max"
}

#if defined(__APPLE__)
// What the system can give without writing anything out; the machine's whole memory when it does
// not say.
std::uint64_t mem_available() {
  vm_statistics64_data_t pages = {};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  const mach_port_t host = mach_host_self();
  vm_size_t page = 0;
  const bool known =
      host_page_size(host, &page) == KERN_SUCCESS &&
      host_statistics64(host, HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages), &count) ==
          KERN_SUCCESS;
  mach_port_deallocate(mach_task_self(), host);
  if (known)
    return (std::uint64_t{pages.free_count} + pages.inactive_count + pages.purgeable_count) * page;
  std::uint64_t bytes = 0;
  std::size_t size = sizeof bytes;
  return ::sysctlbyname("hw.memsize", &bytes, &size, nullptr, 0) == 0 ? bytes : 0;
}
#else
std::uint64_t mem_available() {
  std::ifstream stream("/proc/meminfo");
  std::uint64_t kilobytes = 0;
  for (std::string key, rest; stream >> key; std::getline(stream, rest))
    if (key == "MemAvailable:" && stream >> kilobytes) return kilobytes * 1024;
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long size = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0
             ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size)
             : 0;
}
#endif

}  // namespace

std::optional<std::uint64_t> cgroup_memory_left(const fs::path& process_cgroup,
                                                const fs::path& mount) {
  std::optional<std::uint64_t> left;
  for_each_cgroup(process_cgroup, mount, "memory", [&](const fs::path& folder) {
    auto limit = number_in(folder / "memory.max");
    auto used = number_in(folder / "memory.current");
    if (!limit) limit = number_in(folder / "memory.limit_in_bytes");
    if (!used) used = number_in(folder / "memory.usage_in_bytes");
    if (!limit || !used) return;
    const std::uint64_t here = *limit - std::min(*limit, *used);
    left = left ? std::min(*left, here) : here;
  });
  return left;
}

std::uint64_t available_memory() {
  const std::uint64_t machine = mem_available();
  const auto left = cgroup_memory_left("/proc/self/cgroup", "/sys/fs/cgroup");
  return left ? std::min(machine, *left) : machine;
}

}  // namespace bobby
