#include "server/api/page.h"

#include <array>
#include <utility>

#include "base/sha256.h"
#include "server/api/errors.h"

namespace bobby::server {
namespace {

using boost::asio::awaitable;

constexpr std::string_view kDescription = "openapi.json";
constexpr std::string_view kPolicy =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'";

std::string etag_of(std::string_view bytes) {
  return '"' + sha256_hex(std::as_bytes(std::span(bytes))).substr(0, 32) + '"';
}

}  // namespace

const EmbeddedFile* find_embedded(std::string_view name) {
  for (const EmbeddedFile& file : embedded_files())
    if (file.name == name) return &file;
  return nullptr;
}

std::string_view content_type_of(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kTypes = {{
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
      {".webmanifest", "application/manifest+json"},
      {".txt", "text/plain; charset=utf-8"},
  }};
  for (const auto& [ending, type] : kTypes)
    if (name.ends_with(ending)) return type;
  return "application/octet-stream";
}

http::Response file_response(const http::Request& request, std::string_view name) {
  const EmbeddedFile* file = find_embedded(name);
  if (file == nullptr)
    return error_response({.code = ErrorCode::kNotFound,
                           .where = std::string(name),
                           .problem = "is no file of the page"});
  const std::string etag = etag_of(file->bytes);
  http::Response response;
  response.content_type = content_type_of(name);
  response.fields = {{"ETag", etag},
                     {"Cache-Control", "no-cache"},
                     {"Content-Security-Policy", std::string(kPolicy)}};
  const auto known = request.field("if-none-match");
  if (known && (*known == "*" || known->find(etag) != std::string_view::npos))
    response.status = 304;
  else
    response.body = file->bytes;
  return response;
}

awaitable<void> answer_page(http::Exchange& exchange) {
  http::Response response = file_response(exchange.request(), "index.html");
  co_await exchange.respond(std::move(response));
}

awaitable<void> answer_asset(http::Exchange& exchange) {
  const std::string& name = exchange.request().parts.at("name");
  // The page itself and the API's description have addresses of their own.
  std::string_view file = name;
  if (name == "index.html" || name == kDescription) file = {};
  http::Response response = file_response(exchange.request(), file);
  co_await exchange.respond(std::move(response));
}

awaitable<void> answer_openapi(http::Exchange& exchange) {
  http::Response response = file_response(exchange.request(), kDescription);
  co_await exchange.respond(std::move(response));
}

}  // namespace bobby::server
