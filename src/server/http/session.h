#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "server/http/connection.h"
#include "server/http/core.h"

namespace bobby::http {

/// Serves a connection until one side has had enough. `core` must outlive it.
boost::asio::awaitable<void> serve(const Core& core, std::shared_ptr<Connection> connection);

/// Answers 503 to a connection beyond the limit, whatever it asks.
boost::asio::awaitable<void> turn_away(const Core& core, std::shared_ptr<Connection> connection);

}  // namespace bobby::http
