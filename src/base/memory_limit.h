#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace bobby {

/// Bytes that the process's cgroup and its parents still allow it: the smallest of limit minus use.
/// Nothing where none is set. Arguments as of for_each_cgroup().
std::optional<std::uint64_t> cgroup_memory_left(const std::filesystem::path& process_cgroup,
                                                const std::filesystem::path& mount);

/// What this machine has for a process now: the memory that is free or can be freed (Linux's
/// MemAvailable, elsewhere what is installed), no more than its cgroups allow. 0: not known.
std::uint64_t available_memory();

}  // namespace bobby
