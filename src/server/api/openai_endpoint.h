#pragma once

#include <boost/asio/awaitable.hpp>

#include "server/api/service.h"

namespace bobby::server {

/// POST /v1/chat/completions, POST /v1/completions.
boost::asio::awaitable<void> answer_chat(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> answer_completion(Service& service, http::Exchange& exchange);

}  // namespace bobby::server
