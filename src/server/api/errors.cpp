#include "server/api/errors.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/http/error_response.h"

namespace bobby::server {
namespace {

constexpr std::string_view kRetryAfterSeconds = "1";

// A sentence an error, all of them on one line, whatever they quote.
std::string message_of(const Error& error) {
  std::string text = error.to_string();
  for (std::size_t at = text.find("\n  "); at != std::string::npos; at = text.find("\n  ", at))
    text.replace(at, 3, "; ");
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

/// Fields that the engine finds fault with, by what it calls them.
constexpr std::pair<std::string_view, std::string_view> kEngineFields[] = {
    {"prompt", "prompt"},
    {"count", "count"},
    {"max-tokens", "max_tokens"},
    {"temperature", "temperature"},
    {"top-p", "top_p"},
    {"top-k", "top_k"},
    {"min-p", "min_p"},
    {"top-logprobs", "top_logprobs"},
    {"logit-bias", "logit_bias"},
    {"repetition-penalty", "repetition_penalty"},
    {"presence-penalty", "presence_penalty"},
    {"frequency-penalty", "frequency_penalty"},
    {"retries", "retries"},
    {"char-limit", "char_limit"},
    {"min-chars", "min_chars"},
};

}  // namespace

int http_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage:
    case ErrorCode::kMalformed:
    case ErrorCode::kUnsupported:
    case ErrorCode::kMismatch:
    case ErrorCode::kLimit: return 400;
    case ErrorCode::kNotFound: return 404;
    case ErrorCode::kBusy: return 429;
    case ErrorCode::kCancelled: return 503;
    case ErrorCode::kTimeout: return 504;
    case ErrorCode::kIo:
    case ErrorCode::kNumeric:
    case ErrorCode::kInternal: return 500;
  }
  return 500;
}

Json error_json(const Error& error, std::string_view param) {
  return Json::parse(error_response(error, param).body);
}

http::Response error_response(int status, const Error& error, std::string_view param) {
  http::Response response =
      http::error_response(status, code_name(error.code), message_of(error), param);
  if (status == 429 || status == 503)
    response.fields.emplace_back("Retry-After", kRetryAfterSeconds);
  return response;
}

http::Response error_response(const Error& error, std::string_view param) {
  return error_response(http_status(error.code), error, param);
}

http::Response field_error_response(const Error& error) {
  return error_response(error, error.where);
}

std::string_view engine_field(const Error& error) {
  for (const auto& [where, field] : kEngineFields)
    if (error.where == where || error.where.starts_with(std::string(where) + " ")) return field;
  return {};
}

http::Response json_response(const Json& json, int status) {
  http::Response response;
  response.status = status;
  response.body = dump(json);
  return response;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace bobby::server
