#pragma once

#include <fmt/format.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/nearest_name.h"

namespace bobby {

/// The hint of an error about a name that nothing has: "did you mean X?".
inline std::string did_you_mean(std::string_view name, std::span<const std::string> known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  return fmt::format("did you mean {}?", nearest_name(name, views));
}

}  // namespace bobby
