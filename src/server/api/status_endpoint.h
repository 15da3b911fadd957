#pragma once

#include <boost/asio/awaitable.hpp>

#include "server/api/service.h"

namespace bobby::server {

/// GET /health, /ready, /v1/settings, /metrics.
boost::asio::awaitable<void> answer_health(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> answer_ready(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> answer_settings(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> answer_metrics(Service& service, http::Exchange& exchange);

}  // namespace bobby::server
