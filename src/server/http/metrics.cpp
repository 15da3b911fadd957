#include "server/http/metrics.h"

#include <algorithm>

namespace bobby::http {

void Metrics::connection_opened(bool refused) {
  ++open_;
  ++(refused ? refused_ : taken_);
}

void Metrics::count(std::string_view method, std::string_view route, int status, double seconds,
                    std::uint64_t bytes) {
  const auto bound = std::lower_bound(kDurationBounds.begin(), kDurationBounds.end(), seconds);
  const auto bucket = static_cast<std::size_t>(bound - kDurationBounds.begin());
  const auto status_class = static_cast<std::size_t>(std::clamp(status / 100, 1, 5) - 1);
  const std::lock_guard lock(mutex_);
  RouteCounts& counts = routes_[{std::string(route), std::string(method)}];
  ++counts.by_class[status_class];
  ++counts.durations[bucket];
  counts.seconds += seconds;
  counts.bytes += bytes;
}

TransportCounts Metrics::snapshot() const {
  TransportCounts counts{.connections_open = open_,
                         .connections_taken = taken_,
                         .connections_refused = refused_,
                         .requests_running = running_,
                         .routes = {}};
  const std::lock_guard lock(mutex_);
  for (const auto& [name, route] : routes_) {
    counts.routes.push_back(route);
    counts.routes.back().route = name.first;
    counts.routes.back().method = name.second;
  }
  return counts;
}

}  // namespace bobby::http
