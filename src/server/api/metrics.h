#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "generation/engine_stats.h"
#include "server/api/adapter_directory.h"
#include "server/http/metrics.h"

namespace bobby::server {

/// What became of adapters that were asked to be loaded.
struct AdapterCounts {
  std::atomic<std::uint64_t> loaded{0};
  std::atomic<std::uint64_t> failed{0};
};

/// What the metrics page is written from.
struct MetricsInput {
  std::string_view model;
  EngineStats engine;
  std::span<const AdapterEntry> adapters;
  std::uint64_t adapters_loaded = 0;
  std::uint64_t adapters_failed = 0;
  http::TransportCounts transport;
  bool ready = false;
  std::uint64_t peak_rss_bytes = 0;
  std::uint64_t weight_bytes = 0;
  double now_seconds = 0.0;  ///< since 1970
};

/// The page in Prometheus' text format: bobby_*, and the names under which the Gateway API
/// Inference Extension's endpoint picker looks for a model server's load.
std::string metrics_text(const MetricsInput& input);

}  // namespace bobby::server
