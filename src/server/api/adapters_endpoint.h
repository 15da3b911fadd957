#pragma once

#include <boost/asio/awaitable.hpp>
#include <span>
#include <string_view>

#include "server/api/service.h"

namespace bobby::server {

/// GET and POST /v1/adapters, DELETE /v1/adapters/{name}, GET /v1/models.
boost::asio::awaitable<void> list_adapters(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> load_adapter(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> unload_adapter(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> list_models(Service& service, http::Exchange& exchange);

std::span<const std::string_view> load_adapter_fields();

}  // namespace bobby::server
