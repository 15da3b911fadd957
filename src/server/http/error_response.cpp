#include "server/http/error_response.h"

#include <nlohmann/json.hpp>

namespace bobby::http {
namespace {

std::string_view type_of(int status) {
  if (status == 401) return "authentication_error";
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

}  // namespace

Response error_response(int status, std::string_view code, std::string_view message,
                        std::string_view param) {
  nlohmann::ordered_json error = {{"message", message}, {"type", type_of(status)}};
  error["param"] = param.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(param);
  error["code"] = code;
  const nlohmann::ordered_json body = {{"error", error}};
  Response response;
  response.status = status;
  // A message may quote what a client sent, which need not be UTF-8.
  response.body = body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return response;
}

}  // namespace bobby::http
