#include "lora/common_scale.h"

#include <algorithm>
#include <map>

namespace bobby {
namespace {

template <typename Key>
Key most_frequent(const std::map<Key, std::size_t>& counts) {
  const auto most =
      std::max_element(counts.begin(), counts.end(),
                       [](const auto& x, const auto& y) { return x.second < y.second; });
  return most == counts.end() ? Key() : most->first;
}

}  // namespace

float common_scale(const std::vector<AdapterModule>& modules) {
  std::map<float, std::size_t> counts;
  for (const AdapterModule& module : modules)
    if (module.scale != 0.0f) ++counts[module.scale];
  return most_frequent(counts);
}

std::int64_t common_rank(const std::vector<AdapterModule>& modules, float scale) {
  std::map<std::int64_t, std::size_t> counts;
  for (const AdapterModule& module : modules)
    if (module.scale == scale) ++counts[module.rank];
  return most_frequent(counts);
}

}  // namespace bobby
