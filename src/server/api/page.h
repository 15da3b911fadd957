#pragma once

#include <boost/asio/awaitable.hpp>
#include <span>
#include <string>
#include <string_view>

#include "server/http/exchange.h"

namespace bobby::server {

/// A file that was made part of the program.
struct EmbeddedFile {
  std::string_view name;  ///< "index.html", "openapi.json"
  std::string_view bytes;
};

/// The page's files and the API's description; written by the build.
std::span<const EmbeddedFile> embedded_files();
const EmbeddedFile* find_embedded(std::string_view name);

/// "text/css; charset=utf-8" for "style.css".
std::string_view content_type_of(std::string_view name);

/// The answer that `name` is, with an ETag; 304 when the client has it, 404 when there is no such.
http::Response file_response(const http::Request& request, std::string_view name);

/// GET /, /assets/{name}, /openapi.json.
boost::asio::awaitable<void> answer_page(http::Exchange& exchange);
boost::asio::awaitable<void> answer_asset(http::Exchange& exchange);
boost::asio::awaitable<void> answer_openapi(http::Exchange& exchange);

}  // namespace bobby::server
