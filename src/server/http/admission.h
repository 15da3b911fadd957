#pragma once

#include <optional>
#include <string>

#include "server/http/core.h"
#include "server/http/exchange.h"
#include "server/http/request_parser.h"
#include "server/http/target.h"

namespace bobby::http {

/// What a request's head says about whether it is answered, and by whom.
struct Admission {
  std::optional<Response> answer;  ///< already: a refusal, or what a preflight asks for
  Target target;
  Match match;               ///< match.route is there unless `answer` is
  std::string client;        ///< Request::client
  std::string cross_origin;  ///< an allowed page of another origin that asks
};

/// In this order: Host, Origin, preflight, the target, its route and method, the key, the body's
/// length, Expect. `peer`: the client's address.
Admission admit(const Core& core, const RequestHead& head, const std::string& peer);

}  // namespace bobby::http
