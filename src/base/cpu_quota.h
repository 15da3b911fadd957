#pragma once

#include <filesystem>
#include <optional>

namespace bobby {

/// Processors' worth of time that the process's cgroup and all its parents allow (quota / period,
/// the smallest of them), or nothing where no quota is set. Reads cgroup v2 (cpu.max) and v1
/// (cpu.cfs_quota_us). `process_cgroup` is /proc/self/cgroup, `mount` is /sys/fs/cgroup.
std::optional<double> cpu_quota(const std::filesystem::path& process_cgroup,
                                const std::filesystem::path& mount);

}  // namespace bobby
