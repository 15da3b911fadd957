#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/answer.h"

namespace bobby::net {

struct Request {
  std::string url;
  bool head = false;                      ///< HEAD, else GET
  std::optional<std::string> body = {};   ///< POST of these bytes
  std::vector<std::string> headers = {};  ///< "Name: value"
  /// At most three redirects are followed, and from https to https alone; else a redirect is an
  /// answer.
  bool follow = false;
};

/// One try of a request, and what a caller must know who may not send it twice.
struct Exchange {
  Result<Answer> answer;
  /// Where there is no answer: whether the server may have seen the request all the same.
  bool may_have_arrived = false;
};

/// Sends a request once.
using Ask = std::function<Exchange(const Request& request)>;

}  // namespace bobby::net
