#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http/exchange.h"

namespace bobby::http {

/// What a method and a path lead to.
struct Match {
  const Route* route = nullptr;  ///< none: see `allowed`
  std::map<std::string, std::string, std::less<>> parts;
  std::vector<std::string> allowed;  ///< methods that the path has; empty: no such path
};

/// The routes. A literal segment is preferred to one in braces; HEAD is answered by GET's route.
class Router {
 public:
  /// Fails (kInternal) on a path without "/" in front and on a route given twice.
  static Result<Router> make(std::vector<Route> routes);

  Match find(std::string_view method, const std::vector<std::string>& segments) const;

 private:
  struct Entry {
    Route route;
    std::vector<std::string> segments;
    std::size_t literals = 0;
  };
  std::vector<Entry> entries_;
};

}  // namespace bobby::http
