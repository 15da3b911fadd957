#include "server/api/routes.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "server/api/adapters_endpoint.h"
#include "server/api/drafts_endpoint.h"
#include "server/api/errors.h"
#include "server/api/openai_endpoint.h"
#include "server/api/page.h"
#include "server/api/posts_endpoint.h"
#include "server/api/status_endpoint.h"

namespace bobby::server {
namespace {

using Endpoint = boost::asio::awaitable<void> (*)(Service&, http::Exchange&);

/// Whether a request's body is said to be JSON, or said to be nothing.
bool is_json(const http::Request& request) {
  const auto type = request.field("content-type");
  if (!type) return true;
  const std::string_view kind = type->substr(0, type->find(';'));
  std::string name(kind.substr(0, kind.find_last_not_of(" \t") + 1));
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name == "application/json";
}

boost::asio::awaitable<void> run(Service& service, Endpoint endpoint, http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  if (request.body.empty() || is_json(request)) {
    co_await endpoint(service, exchange);
    co_return;
  }
  const Error error = {.code = ErrorCode::kUnsupported,
                       .where = "Content-Type",
                       .problem = "is not that of JSON",
                       .expected = "application/json",
                       .found = std::string(*request.field("content-type"))};
  http::Response response = error_response(415, error);
  co_await exchange.respond(std::move(response));
}

constexpr std::size_t kChatBytes = std::size_t{8} << 20;

}  // namespace

std::vector<http::Route> make_routes(Service& service, bool metrics_need_key) {
  std::vector<http::Route> routes;
  const auto add = [&](std::string method, std::string path, Endpoint endpoint,
                       bool open = false) -> http::Route& {
    routes.push_back(
        {.method = std::move(method),
         .path = std::move(path),
         .handler = [&service, endpoint](
                        http::Exchange& exchange) { return run(service, endpoint, exchange); },
         .open = open});
    return routes.back();
  };
  add("POST", "/v1/posts", answer_posts);
  add("POST", "/v1/chat/completions", answer_chat).body_limit = kChatBytes;
  add("POST", "/v1/completions", answer_completion).body_limit = kChatBytes;
  add("GET", "/v1/models", list_models);
  add("GET", "/v1/adapters", list_adapters);
  add("POST", "/v1/adapters", load_adapter);
  add("DELETE", "/v1/adapters/{name}", unload_adapter);
  if (service.drafts != nullptr) {
    add("GET", "/v1/drafts", list_drafts);
    add("POST", "/v1/drafts", create_draft);
    add("GET", "/v1/drafts/{id}", get_draft);
    add("PATCH", "/v1/drafts/{id}", change_draft);
    add("DELETE", "/v1/drafts/{id}", delete_draft);
  }
  add("GET", "/v1/settings", answer_settings);
  add("GET", "/health", answer_health, true);
  add("GET", "/ready", answer_ready, true);
  add("GET", "/metrics", answer_metrics, !metrics_need_key);
  routes.push_back({.method = "GET", .path = "/", .handler = answer_page, .open = true});
  routes.push_back(
      {.method = "GET", .path = "/assets/{name}", .handler = answer_asset, .open = true});
  routes.push_back({.method = "GET", .path = "/openapi.json", .handler = answer_openapi});
  return routes;
}

}  // namespace bobby::server
