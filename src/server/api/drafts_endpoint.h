#pragma once

#include <boost/asio/awaitable.hpp>
#include <span>
#include <string_view>

#include "server/api/service.h"

namespace bobby::server {

/// GET and POST /v1/drafts; GET, PATCH and DELETE /v1/drafts/{id}.
boost::asio::awaitable<void> list_drafts(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> create_draft(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> get_draft(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> change_draft(Service& service, http::Exchange& exchange);
boost::asio::awaitable<void> delete_draft(Service& service, http::Exchange& exchange);

std::span<const std::string_view> new_draft_fields();
std::span<const std::string_view> draft_change_fields();
std::span<const std::string_view> draft_query_fields();

}  // namespace bobby::server
