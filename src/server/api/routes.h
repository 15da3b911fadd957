#pragma once

#include <vector>

#include "server/api/service.h"
#include "server/http/exchange.h"

namespace bobby::server {

/// Every endpoint. `service` outlives the routes. With `metrics_need_key` /metrics is not open.
std::vector<http::Route> make_routes(Service& service, bool metrics_need_key);

}  // namespace bobby::server
