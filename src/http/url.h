#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bobby::net {

/// `text` with everything escaped that may not stand in a query's value, or in one part of a path.
std::string escape_query(const std::string& text);

/// SCHEME://HOST[:PORT][/PATH] of a server, without a slash at its end. kUsage for anything else:
/// other schemes than https, http to another machine than this, user names, queries.
Result<std::string> server_url(const std::string& text);

/// Whether `url` is plain http, and whether that leads to this very machine, as it must.
bool is_plain_http(const std::string& url);
bool leads_to_this_machine(const std::string& url);

/// Whether both have one scheme, host and port: where what is meant for the one may go as well.
bool same_origin(const std::string& a, const std::string& b);

/// Where a redirect of `from` to `location`, which may be relative, leads. kMalformed for what is
/// no URL; kUnsupported for other schemes than https, but for plain http from and to this machine.
Result<std::string> redirect_target(const std::string& from, const std::string& location);

/// A URL without what follows "?", which may be a secret, and not too long: for messages.
std::string shown_url(std::string_view url);

}  // namespace bobby::net
