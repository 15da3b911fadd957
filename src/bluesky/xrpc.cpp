#include "bluesky/xrpc.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <iterator>
#include <utility>

#include "bluesky/json_answer.h"
#include "http/url.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;
using std::chrono::seconds;

// What a server calls a failure, in our words. `is_of_account`: what was sent is not to blame.
struct KnownError {
  std::string_view name;
  ErrorCode code;
  std::string_view problem;
  std::string_view hint;
  bool is_of_account;
};
constexpr KnownError kKnownErrors[] = {
    {"AccountDeactivated", ErrorCode::kUsage, "the account is deactivated",
     "activate it in Bluesky's settings", true},
    {"AccountTakedown", ErrorCode::kUsage, "the account has been taken down by its server",
     "ask the server's moderators", true},
    {"AccountSuspended", ErrorCode::kUsage, "the account is suspended by its server",
     "ask the server's moderators", true},
    {"AccountNotFound", ErrorCode::kNotFound, "the server does not know the account",
     "log in again: it may have moved", true},
    {"RepoDeactivated", ErrorCode::kUsage, "the account is deactivated",
     "activate it in Bluesky's settings", true},
    {"RepoTakendown", ErrorCode::kUsage, "the account has been taken down by its server",
     "ask the server's moderators", true},
    {"ExpiredToken", ErrorCode::kUsage, "the session has run out", "log in again", true},
    {"InvalidToken", ErrorCode::kUsage, "the session is not valid any more", "log in again", true},
    {"AuthMissing", ErrorCode::kUsage, "the server wants a session", "log in again", true},
    {"AuthenticationRequired", ErrorCode::kUsage, "the server does not let the account do that", "",
     true},
    {"InvalidSwap", ErrorCode::kMismatch, "somebody else has changed it meanwhile", "", false},
    {"MethodNotImplemented", ErrorCode::kUnsupported, "the server does not have that", "", false},
    {"XRPCNotSupported", ErrorCode::kUnsupported, "the server does not have that", "", false},
    {"RecordNotFound", ErrorCode::kNotFound, "there is no such record", "", false},
};

const KnownError* known_error(std::string_view name) {
  const auto* const found = std::ranges::find(kKnownErrors, name, &KnownError::name);
  return found == std::end(kKnownErrors) ? nullptr : found;
}

std::optional<std::int64_t> number_of(const std::string* text) {
  if (text == nullptr) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return number;
}

ServerLimit limit_of(const http::Answer& answer) {
  constexpr std::int64_t kLatest = 100'000'000'000;
  ServerLimit limit;
  limit.remaining = number_of(answer.header("ratelimit-remaining"));
  if (const auto reset = number_of(answer.header("ratelimit-reset"));
      reset && *reset > 0 && *reset < kLatest)
    limit.reset = TimePoint(seconds(*reset));
  if (answer.wait) limit.wait = std::clamp(*answer.wait, seconds(0), seconds(kLatest));
  return limit;
}

http::Request request_of(const XrpcCall& call) {
  http::Request request{.url = call.service + "/xrpc/" + call.method};
  if (!call.query.empty()) request.url += "?" + call.query;
  request.headers.push_back("Accept: application/json");
  if (!call.token.empty()) request.headers.push_back("Authorization: Bearer " + call.token);
  if (call.is_query) return request;
  request.body = call.input.is_null() ? std::string() : call.input.dump();
  // Without a body there is no type of it either: libcurl would name one.
  request.headers.push_back(call.input.is_null() ? "Content-Type:"
                                                 : "Content-Type: application/json");
  return request;
}

// Whether an answer like this may come of a key that an earlier request has used.
bool may_be_there(int status, const XrpcReply& reply) {
  const std::string* message = text_of(reply.output, "message");
  const std::string said = reply.error_name + (message == nullptr ? "" : *message);
  return status == 409 || said.find("xist") != std::string::npos;
}

Outcome judge(int status, const XrpcReply& reply) {
  if (status == 429 || (status >= 300 && status < 400)) return Outcome::kLater;
  if (status >= 500)
    return reply.error_name == "MethodNotImplemented" ? Outcome::kRefused : Outcome::kUnknown;
  // What is not in the words of such a server comes from something in between.
  if (status == 408 || status == 425 || reply.error_name.empty() || may_be_there(status, reply))
    return Outcome::kUnknown;
  const KnownError* known = known_error(reply.error_name);
  return known != nullptr && known->is_of_account ? Outcome::kLater : Outcome::kRefused;
}

Error error_of(const XrpcCall& call, const XrpcReply& reply) {
  Error error{.code = ErrorCode::kIo,
              .where = http::shown_url(call.service + "/xrpc/" + call.method)};
  const std::string said = told(reply.output);
  error.problem =
      fmt::format("answers with status {}{}{}", reply.status, said.empty() ? "" : ": ", said);
  if (const KnownError* known = known_error(reply.error_name)) {
    error.code = known->code;
    error.problem = fmt::format("{} ({})", known->problem, said);
    error.hint = known->hint;
  } else if (reply.status == 429) {
    error.code = ErrorCode::kBusy;
    error.problem = fmt::format("asks for patience{}{}", said.empty() ? "" : ": ", said);
  } else if (reply.status >= 300 && reply.status < 400) {
    error.problem = fmt::format("redirects to another place (status {})", reply.status);
  }
  return error;
}

void hide(std::string& text, const std::string& secret) {
  constexpr std::string_view kInstead = "[hidden]";
  if (secret.empty()) return;
  for (std::size_t at = text.find(secret); at != std::string::npos;
       at = text.find(secret, at + kInstead.size()))
    text.replace(at, secret.size(), kInstead);
}

// No secret may reach a message, even where a server says it back.
void hide_secrets(json& answer, const XrpcCall& call) {
  if (!answer.is_object()) return;
  for (const char* key : {"error", "message"}) {
    const auto found = answer.find(key);
    if (found == answer.end() || !found->is_string()) continue;
    auto& text = found->get_ref<std::string&>();
    hide(text, call.token);
    for (const char* name : {"password", "authFactorToken"})
      if (const std::string* secret = text_of(call.input, name)) hide(text, *secret);
  }
}

}  // namespace

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDone: return "done";
    case Outcome::kRefused: return "refused";
    case Outcome::kLater: return "later";
    case Outcome::kUnknown: return "unknown";
  }
  return "unknown";
}

XrpcReply call_xrpc(const http::Ask& ask, const XrpcCall& call, TimePoint now) {
  XrpcReply reply;
  http::Exchange exchange = ask(request_of(call));
  if (!exchange.answer) {
    reply.verdict.error = std::move(exchange.answer).error();
    const bool is_refused = reply.verdict.error.code == ErrorCode::kUsage;
    reply.verdict.outcome = exchange.may_have_arrived ? Outcome::kUnknown
                            : is_refused              ? Outcome::kRefused
                                                      : Outcome::kLater;
    return reply;
  }
  const http::Answer& answer = *exchange.answer;
  reply.status = answer.status;
  reply.limit = limit_of(answer);
  reply.output = json::parse(answer.body, nullptr, false);
  if (answer.status >= 200 && answer.status < 300) {
    if (reply.output.is_object() || !call.has_output) {
      reply.verdict.outcome = Outcome::kDone;
    } else {
      reply.verdict.error = {.code = ErrorCode::kMalformed,
                             .where = http::shown_url(call.service + "/xrpc/" + call.method),
                             .problem = "answers with something other than a JSON object"};
    }
    return reply;
  }
  hide_secrets(reply.output, call);
  if (const std::string* name = text_of(reply.output, "error")) reply.error_name = *name;
  reply.verdict.outcome = judge(answer.status, reply);
  reply.verdict.error = error_of(call, reply);
  const KnownError* known = known_error(reply.error_name);
  reply.verdict.needs_person =
      reply.verdict.outcome == Outcome::kLater && known != nullptr && known->is_of_account;
  if (reply.limit.wait) reply.verdict.not_before = now + *reply.limit.wait;
  return reply;
}

}  // namespace bobby::bluesky
