#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace bobby::bluesky {

/// check_post_record() of what was parsed.
Result<void> check_post_fields(const nlohmann::json& record);

}  // namespace bobby::bluesky
