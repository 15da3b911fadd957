#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "generation/engine_stats.h"
#include "server/api/adapter_directory.h"
#include "server/http/exchange.h"

namespace bobby::server {

/// Requests that were answered, by route and status. Thread-safe.
class HttpMetrics {
 public:
  struct Count {
    std::uint64_t requests = 0;
    double seconds = 0.0;
  };
  using Counts = std::map<std::pair<std::string, int>, Count>;  ///< by "GET /v1/models" and status

  void count(const std::string& route, int status, double seconds);
  void adapter_loaded(bool loaded);

  Counts counts() const;
  std::uint64_t adapter_loads() const;
  std::uint64_t adapter_load_failures() const;

 private:
  mutable std::mutex mutex_;
  Counts counts_;
  std::uint64_t adapter_loads_ = 0;
  std::uint64_t adapter_load_failures_ = 0;
};

/// `handler` with its answers counted under the route's name.
http::Handler counted(HttpMetrics& metrics, const http::Route& route);

/// What the metrics page is written from.
struct MetricsInput {
  std::string_view model;
  EngineStats engine;
  std::span<const AdapterEntry> adapters;
  const HttpMetrics* http = nullptr;
  bool ready = false;
  std::uint64_t peak_rss_bytes = 0;
  std::uint64_t weight_bytes = 0;
  double now_seconds = 0.0;  ///< since 1970
};

/// The page in Prometheus' text format: bobby_*, and the names under which the Gateway API
/// Inference Extension's endpoint picker looks for a model server's load.
std::string metrics_text(const MetricsInput& input);

}  // namespace bobby::server
