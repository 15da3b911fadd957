#pragma once

#include <boost/asio/awaitable.hpp>

#include "server/api/service.h"

namespace bobby::server {

/// POST /v1/posts.
boost::asio::awaitable<void> answer_posts(Service& service, http::Exchange& exchange);

}  // namespace bobby::server
