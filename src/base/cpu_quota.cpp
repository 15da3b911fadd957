#include "base/cpu_quota.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

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

bool holds_cpu(const std::string& controllers) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');)
    if (name == "cpu") return true;
  return false;
}

}  // namespace

std::optional<double> cpu_quota(const fs::path& process_cgroup, const fs::path& mount) {
  std::optional<double> limit;
  std::ifstream file(process_cgroup);
  for (std::string line; std::getline(file, line);) {  // "hierarchy:controllers:/path"
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && !holds_cpu(controllers)) continue;
    const fs::path top = controllers.empty() ? mount : mount / "cpu";
    // A container may see its own group as the mount's root, or by a path that is not there: the
    // folders that exist count, from the group itself up to the mount.
    fs::path inner = fs::path(line.substr(second + 1)).relative_path();
    while (!inner.empty()) {
      read_folder(top / inner, limit);
      inner = inner.parent_path();
    }
    read_folder(top, limit);
  }
  return limit;
}

}  // namespace bobby
