#pragma once

#include <vector>

#include "lora/adapter.h"

namespace bobby {

/// The scale that most modules have, one other than 0 if any has; 0 of none.
float common_scale(const std::vector<AdapterModule>& modules);

/// The rank that most modules with this scale have.
std::int64_t common_rank(const std::vector<AdapterModule>& modules, float scale);

}  // namespace bobby
