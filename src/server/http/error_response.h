#pragma once

#include <string>
#include <string_view>

#include "server/http/exchange.h"

namespace bobby::http {

/// An answer in OpenAI's shape: {"error": {"message", "type", "param", "code"}}. The type follows
/// from the status: authentication_error (401), rate_limit_error (429), server_error (5xx),
/// invalid_request_error. An empty `param` is written as null.
Response error_response(int status, std::string_view code, std::string_view message,
                        std::string_view param = {});

}  // namespace bobby::http
