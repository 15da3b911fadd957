#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "server/http/exchange.h"

namespace bobby::server {

using Json = nlohmann::ordered_json;

/// The HTTP status that stands for a kind of failure.
int http_status(ErrorCode code);

/// OpenAI's error object: {"error": {"message", "type", "param", "code"}}. `param` names the field
/// that is wrong; "": none.
Json error_json(const Error& error, std::string_view param = {});

/// The answer to a request that failed. A full queue also says when to come back.
http::Response error_response(const Error& error, std::string_view param = {});

/// The same with a status of its own, for what no ErrorCode stands for (409).
http::Response error_response(int status, const Error& error, std::string_view param = {});

/// The answer to a body that could not be read: its error's `where` is the field's name.
http::Response field_error_response(const Error& error);

/// The request's field that an engine's error is about; "": none.
std::string_view engine_field(const Error& error);

http::Response json_response(const Json& json, int status = 200);

/// `json` on one line. Invalid UTF-8, which only a bug could bring, becomes U+FFFD.
std::string dump(const Json& json);

}  // namespace bobby::server
