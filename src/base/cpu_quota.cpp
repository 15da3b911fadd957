#include "base/cpu_quota.h"

#include <algorithm>
#include <fstream>

#include "base/cgroup.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

void keep_smaller(std::optional<double>& limit, double quota, double period) {
  if (quota <= 0 || period <= 0) return;  // "max" and -1: no limit
  limit = limit ? std::min(*limit, quota / period) : quota / period;
}

/// The quota of one cgroup folder, in either version's files.
void read_folder(const fs::path& folder, std::optional<double>& limit) {
  double quota = 0;
  double period = 0;
  if (std::ifstream v2(folder / "cpu.max"); v2 >> quota >> period) {
    keep_smaller(limit, quota, period);
    return;
  }
  std::ifstream v1_quota(folder / "cpu.cfs_quota_us");
  std::ifstream v1_period(folder / "cpu.cfs_period_us");
  if (v1_quota >> quota && v1_period >> period) keep_smaller(limit, quota, period);
}

}  // namespace

std::optional<double> cpu_quota(const fs::path& process_cgroup, const fs::path& mount) {
  std::optional<double> limit;
  for_each_cgroup(process_cgroup, mount, "cpu",
                  [&](const fs::path& folder) { read_folder(folder, limit); });
  return limit;
}

}  // namespace bobby
