#include "base/cgroup.h"

#include <fstream>
#include <sstream>
#include <string>

namespace bobby {
namespace {

namespace fs = std::filesystem;

bool holds(const std::string& controllers, std::string_view controller) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');)
    if (name == controller) return true;
  return false;
}

}  // namespace

void for_each_cgroup(const fs::path& process_cgroup, const fs::path& mount,
                     std::string_view controller,
                     const std::function<void(const fs::path&)>& read) {
  std::ifstream file(process_cgroup);
  for (std::string line; std::getline(file, line);) {  // "hierarchy:controllers:/path"
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && !holds(controllers, controller)) continue;
    const fs::path top = controllers.empty() ? mount : mount / controller;
    // A container may see its own group as the mount's root, or by a path that is not there: the
    // folders that exist count, from the group itself up to the mount.
    fs::path inner = fs::path(line.substr(second + 1)).relative_path();
    while (!inner.empty()) {
      read(top / inner);
      inner = inner.parent_path();
    }
    read(top);
  }
}

}  // namespace bobby
