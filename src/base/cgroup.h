#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace bobby {

/// Calls `read` with each folder that may limit the process's use of `controller` ("cpu",
/// "memory"): its cgroup's own, then its parents' up to the mount, of versions 1 and 2 of cgroups.
/// `process_cgroup` is /proc/self/cgroup, `mount` is /sys/fs/cgroup. Folders need not exist.
void for_each_cgroup(const std::filesystem::path& process_cgroup,
                     const std::filesystem::path& mount, std::string_view controller,
                     const std::function<void(const std::filesystem::path&)>& read);

}  // namespace bobby
