#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/answer.h"

namespace bobby::bluesky {

/// Gets a JSON object. kNotFound for 404 and what a server says it does not have, kIo for other
/// statuses, kMalformed for what is no JSON object; `where` is the URL without its query.
Result<nlohmann::json> get_json(const net::Get& get, const std::string& url);

/// What an XRPC server says of a failure, {"error": NAME, "message": TEXT}, for a message: short,
/// and without control characters. Empty: nothing.
std::string told(const nlohmann::json& body);

/// The text under an object's key, null when there is none.
const std::string* text_of(const nlohmann::json& object, std::string_view key);

}  // namespace bobby::bluesky
