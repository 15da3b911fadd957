#include "server/http/origin.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace bobby::http {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

struct Origin {
  std::string scheme;
  std::string authority;  ///< without the scheme's own port
};

std::string without_port(std::string authority, std::string_view scheme) {
  const std::string_view own = scheme == "https" ? ":443" : ":80";
  if (authority.ends_with(own)) authority.resize(authority.size() - own.size());
  return authority;
}

std::optional<Origin> parse_origin(std::string_view text) {
  const std::size_t end = text.find("://");
  if (end == 0 || end == std::string_view::npos) return std::nullopt;
  Origin origin{.scheme = lower(text.substr(0, end)), .authority = lower(text.substr(end + 3))};
  if (origin.authority.empty() || origin.authority.find_first_of("/?#@ ,") != std::string::npos)
    return std::nullopt;
  origin.authority = without_port(std::move(origin.authority), origin.scheme);
  return origin;
}

}  // namespace

bool is_loopback_host(std::string_view host) {
  const std::string name = lower(host);
  for (const std::string_view ours : {"localhost", "127.0.0.1", "[::1]"}) {
    if (!name.starts_with(ours)) continue;
    const std::string_view rest = std::string_view(name).substr(ours.size());
    if (rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)))) return true;
  }
  return false;
}

Result<Origins> Origins::make(std::span<const std::string> allowed) {
  Origins origins;
  for (const std::string& text : allowed) {
    const auto origin = parse_origin(text);
    if (!origin)
      return fail({.code = ErrorCode::kUsage,
                   .where = "--allow-origin",
                   .problem = "is not an origin",
                   .expected = "https://example.org",
                   .found = "'" + text + "'"});
    origins.allowed_.push_back(origin->scheme + "://" + origin->authority);
  }
  return origins;
}

Origins::Kind Origins::kind(std::string_view origin, std::string_view host) const {
  const auto parsed = parse_origin(origin);
  if (!parsed) return Kind::kForeign;
  if (without_port(lower(host), parsed->scheme) == parsed->authority) return Kind::kOwn;
  const std::string normal = parsed->scheme + "://" + parsed->authority;
  const bool known = std::find(allowed_.begin(), allowed_.end(), normal) != allowed_.end();
  return known ? Kind::kAllowed : Kind::kForeign;
}

}  // namespace bobby::http
