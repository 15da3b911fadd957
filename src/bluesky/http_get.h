#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"

namespace bobby::bluesky {

/// What a server answered.
struct HttpAnswer {
  int status = 0;
  std::string body;
  /// How long it asks to be left alone (Retry-After, or ratelimit-reset with a 429).
  std::optional<std::chrono::seconds> wait;
};

/// Gets a URL: whatever status it answers is an answer; errors are of the way there and back.
using HttpGet = std::function<Result<HttpAnswer>(const std::string& url)>;

/// `text` with everything escaped that may not stand in a query's value.
std::string escape_query(const std::string& text);

/// SCHEME://HOST[:PORT][/PATH] of a server, without a slash at its end. kUsage for anything else:
/// other schemes than https, http to another machine than this, user names, queries.
Result<std::string> server_url(const std::string& text);

/// Whether `url` is plain http, and whether that leads to this very machine, as it must.
bool is_plain_http(const std::string& url);
bool leads_to_this_machine(const std::string& url);

}  // namespace bobby::bluesky
