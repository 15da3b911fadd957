#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby::http {

/// Whether a Host field names this machine alone: localhost, 127.0.0.1 or [::1], with or without a
/// port. A page whose name was made to point here (DNS rebinding) sends another.
bool is_loopback_host(std::string_view host);

/// Which pages may ask. Their scheme does not matter for our own: a proxy may speak TLS for us.
class Origins {
 public:
  /// Fails (kUsage) on an entry that is not "scheme://host" or "scheme://host:port".
  static Result<Origins> make(std::span<const std::string> allowed);

  enum class Kind { kOwn, kAllowed, kForeign };
  /// What an Origin field is to a server that was asked under the name `host`.
  Kind kind(std::string_view origin, std::string_view host) const;

 private:
  std::vector<std::string> allowed_;  ///< "scheme://host:port", in lower case
};

}  // namespace bobby::http
