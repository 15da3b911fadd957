#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace bobby::bluesky {

/// What a JSON Web Token says of its times, in seconds since 1970 by its maker's clock. Its
/// signature is its maker's business.
struct TokenTimes {
  std::optional<std::chrono::seconds> issued = {};
  std::optional<std::chrono::seconds> expires = {};
};

/// Nothing known for what is no such token.
TokenTimes token_times(std::string_view token);

}  // namespace bobby::bluesky
