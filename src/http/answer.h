#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bobby::net {

/// What a server answered.
struct Answer {
  int status = 0;
  std::string body;
  /// How long it asks to be left alone (Retry-After, or what it says of a limit with a 429).
  std::optional<std::chrono::seconds> wait;
  std::vector<std::pair<std::string, std::string>> headers = {};

  /// The first header of that name, in whatever case; null when there is none.
  const std::string* header(std::string_view name) const;
};

/// Gets a URL: whatever status it answers is an answer; errors are of the way there and back.
using Get = std::function<Result<Answer>(const std::string& url)>;

}  // namespace bobby::net
