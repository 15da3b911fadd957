#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby::http {

/// What a request line asks for, percent-decoded.
struct Target {
  std::string path;                   ///< "/v1/drafts/12"
  std::vector<std::string> segments;  ///< "v1", "drafts", "12"; of "/": one, empty
  std::map<std::string, std::string, std::less<>> query;  ///< "+" stands for a space
};

/// Fails with one sentence on a target that does not begin with "/", on bad escapes, control
/// characters, bytes that are not UTF-8, segments "." and "..", an escaped "/" or "\", and on a
/// query name given twice: such a path names nothing here, and could name a file elsewhere.
Result<Target> parse_target(std::string_view target);

}  // namespace bobby::http
