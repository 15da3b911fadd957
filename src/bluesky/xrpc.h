#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "bluesky/rate_budget.h"
#include "http/answer.h"
#include "http/client.h"

namespace bobby::bluesky {

/// The way to servers. `get` may ask again when a try fails; `ask` sends what it is given once.
struct Transport {
  http::Get get;
  http::Ask ask;
};

/// What became of a request that changes something.
enum class Outcome : std::uint8_t {
  kDone,     ///< the server says so
  kRefused,  ///< nothing was done, and the same would be refused again: a person must look
  kLater,    ///< nothing was done; the same may be done later
  kUnknown,  ///< it may have been done, or may be yet: look before anything is sent again
};
std::string_view outcome_name(Outcome outcome);

/// How a request ended.
struct Verdict {
  Outcome outcome = Outcome::kUnknown;
  Error error = {};  ///< unless kDone: one sentence, without any secret
  /// With kLater: when it may be tried again, where that is known.
  std::optional<TimePoint> not_before = {};
  /// With kLater: what stands in the way is the account or its session, not what was sent; nothing
  /// will get better before a person has seen to it (logged in again, say).
  bool needs_person = false;
};

/// A call of a method of an XRPC server, com.atproto.repo.createRecord say.
struct XrpcCall {
  std::string service = {};  ///< https://HOST
  std::string method = {};
  std::string token = {};  ///< for the Authorization header; empty: none
  std::string query = {};  ///< "a=b&c=d", escaped
  /// What is POSTed; null: POST without a body. Unused by a GET.
  nlohmann::json input = {};
  bool is_query = false;   ///< GET
  bool has_output = true;  ///< whether an answer without a JSON object is none
};

struct XrpcReply {
  Verdict verdict;
  nlohmann::json output = {};
  std::string error_name = {};  ///< "ExpiredToken"; empty: the server named none
  int status = 0;               ///< 0: there was no answer
  ServerLimit limit = {};
};

/// Sends it once and judges the answer.
XrpcReply call_xrpc(const http::Ask& ask, const XrpcCall& call, TimePoint now);

}  // namespace bobby::bluesky
