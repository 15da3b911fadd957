#include "server/http/router.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <utility>

namespace bobby::http {
namespace {

bool in_braces(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> segments;
  std::size_t begin = 1;
  for (std::size_t slash; (slash = path.find('/', begin)) != std::string_view::npos;
       begin = slash + 1)
    segments.emplace_back(path.substr(begin, slash - begin));
  segments.emplace_back(path.substr(begin));
  return segments;
}

bool fits(const std::vector<std::string>& pattern, const std::vector<std::string>& segments) {
  const auto same = [](const std::string& wanted, const std::string& segment) {
    return in_braces(wanted) ? !segment.empty() : wanted == segment;
  };
  return std::equal(pattern.begin(), pattern.end(), segments.begin(), segments.end(), same);
}

}  // namespace

Result<Router> Router::make(std::vector<Route> routes) {
  Router router;
  std::set<std::pair<std::string, std::string>> seen;
  for (Route& route : routes) {
    const std::string name = route.method + " " + route.path;
    if (!route.path.starts_with('/') || route.handler == nullptr)
      return fail(
          {.where = name, .problem = "is no route: it needs a path from '/' and a handler"});
    if (!seen.emplace(route.method, route.path).second)
      return fail({.where = name, .problem = "is a route twice"});
    std::vector<std::string> segments = split(route.path);
    const auto literals = std::count_if(segments.begin(), segments.end(),
                                        [](const std::string& part) { return !in_braces(part); });
    router.entries_.push_back(
        {std::move(route), std::move(segments), static_cast<std::size_t>(literals)});
  }
  // The first that fits is then the one with the most literal segments.
  std::stable_sort(router.entries_.begin(), router.entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.literals > b.literals; });
  return router;
}

Match Router::find(std::string_view method, const std::vector<std::string>& segments) const {
  Match match;
  std::set<std::string> allowed;
  const Entry* best = nullptr;
  for (const Entry& entry : entries_) {
    if (!fits(entry.segments, segments)) continue;
    allowed.insert(entry.route.method);
    if (entry.route.method == "GET") allowed.insert("HEAD");
    const bool exact = entry.route.method == method;
    const bool head_of_get = method == "HEAD" && entry.route.method == "GET";
    if (best == nullptr && (exact || head_of_get)) best = &entry;
  }
  match.allowed.assign(allowed.begin(), allowed.end());
  if (best == nullptr) return match;
  match.route = &best->route;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::string& pattern = best->segments[i];
    if (in_braces(pattern)) match.parts.emplace(pattern.substr(1, pattern.size() - 2), segments[i]);
  }
  return match;
}

}  // namespace bobby::http
