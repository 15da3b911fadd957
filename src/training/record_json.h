#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bobby {

/// One line as a JSON object, keys in their order, the last of equal ones kept as Python does.
/// kMalformed for anything else and for values nested deeper than 64; `where` begins the message.
Result<nlohmann::ordered_json> parse_record(std::string_view line, const std::string& where);

}  // namespace bobby
