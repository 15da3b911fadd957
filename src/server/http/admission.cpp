#include "server/http/admission.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string_view>
#include <utility>

#include "server/http/error_response.h"

namespace bobby::http {
namespace {

std::string_view field_of(const RequestHead& head, std::string_view name) {
  const auto found = head.fields.find(name);
  return found == head.fields.end() ? std::string_view() : std::string_view(found->second);
}

bool equal_ignoring_case(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((text[i] | 0x20) != lower[i]) return false;
  return true;
}

std::optional<Response> check_host(const Core& core, const RequestHead& head) {
  if (head.repeated_identity)
    return error_response(400, "usage",
                          "Host, Origin, Authorization and X-Api-Key may be given once each");
  if (!head.http_1_0 && !head.fields.contains("host"))
    return error_response(400, "usage", "an HTTP/1.1 request needs a Host field");
  const std::string_view host = field_of(head, "host");
  if (!core.loopback_names_only || host.empty() || is_loopback_host(host)) return std::nullopt;
  return error_response(403, "forbidden",
                        fmt::format("this server answers to localhost, not to '{}'", host));
}

std::optional<Response> check_origin(const Core& core, const RequestHead& head,
                                     std::string& cross_origin) {
  const auto origin = head.fields.find("origin");
  if (origin == head.fields.end()) return std::nullopt;
  switch (core.origins.kind(origin->second, field_of(head, "host"))) {
    case Origins::Kind::kOwn: return std::nullopt;
    case Origins::Kind::kAllowed: cross_origin = origin->second; return std::nullopt;
    case Origins::Kind::kForeign: break;
  }
  return error_response(403, "forbidden",
                        fmt::format("pages of '{}' may not ask this server; --allow-origin lets "
                                    "one",
                                    origin->second));
}

Response preflight_answer(const std::vector<std::string>& methods) {
  Response response;
  response.status = 204;
  response.fields = {
      {"Access-Control-Allow-Methods", fmt::format("{}", fmt::join(methods, ", "))},
      {"Access-Control-Allow-Headers", "Authorization, Content-Type, X-Api-Key, X-Request-Id"},
      {"Access-Control-Max-Age", "600"}};
  return response;
}

std::optional<Response> check_route(const RequestHead& head, const Admission& admission) {
  const Match& match = admission.match;
  if (match.route != nullptr) return std::nullopt;
  if (match.allowed.empty())
    return error_response(404, "not_found",
                          fmt::format("there is nothing at '{}'", admission.target.path));
  if (!admission.cross_origin.empty() && head.method == "OPTIONS" &&
      head.fields.contains("access-control-request-method"))
    return preflight_answer(match.allowed);
  const std::string methods = fmt::format("{}", fmt::join(match.allowed, ", "));
  Response response = error_response(
      405, "usage",
      fmt::format("'{}' takes {}, not {}", admission.target.path, methods, head.method));
  response.fields.emplace_back("Allow", methods);
  return response;
}

std::optional<std::string> client_by_key(const Core& core, const RequestHead& head) {
  const std::string_view authorization = field_of(head, "authorization");
  constexpr std::string_view kBearer = "bearer ";
  if (equal_ignoring_case(authorization.substr(0, kBearer.size()), kBearer)) {
    std::string_view key = authorization.substr(kBearer.size());
    key.remove_prefix(std::min(key.find_first_not_of(' '), key.size()));
    return core.keys.client_of(key);
  }
  return core.keys.client_of(field_of(head, "x-api-key"));
}

std::optional<Response> check_key(const Core& core, const RequestHead& head, Admission& admission) {
  if (core.keys.empty()) return std::nullopt;
  if (auto client = client_by_key(core, head)) {
    admission.client = *std::move(client);
    return std::nullopt;
  }
  if (admission.match.route->open) return std::nullopt;
  const bool given = head.fields.contains("authorization") || head.fields.contains("x-api-key");
  Response response =
      error_response(401, "invalid_api_key",
                     given ? "the API key is not one of this server's"
                           : "this server asks for an API key: send 'Authorization: Bearer KEY'");
  response.fields.emplace_back("WWW-Authenticate", "Bearer realm=\"bobby\"");
  return response;
}

std::optional<Response> check_body(const RequestHead& head, const Route& route) {
  if (head.content_length.value_or(0) > route.body_limit)
    return error_response(413, "limit",
                          fmt::format("the body has {} bytes; '{}' takes {}", *head.content_length,
                                      route.path, route.body_limit));
  const std::string_view expect = field_of(head, "expect");
  if (!expect.empty() && !equal_ignoring_case(expect, "100-continue"))
    return error_response(417, "unsupported", "Expect takes 100-continue alone");
  return std::nullopt;
}

}  // namespace

Admission admit(const Core& core, const RequestHead& head, const std::string& peer) {
  Admission admission;
  admission.client = peer;
  if ((admission.answer = check_host(core, head))) return admission;
  if ((admission.answer = check_origin(core, head, admission.cross_origin))) return admission;
  Result<Target> target = parse_target(head.target);
  if (!target) {
    admission.answer = error_response(400, "malformed", target.error().to_string());
    return admission;
  }
  admission.target = *std::move(target);
  admission.match = core.router.find(head.method, admission.target.segments);
  if ((admission.answer = check_route(head, admission))) return admission;
  if ((admission.answer = check_key(core, head, admission))) return admission;
  admission.answer = check_body(head, *admission.match.route);
  return admission;
}

}  // namespace bobby::http
