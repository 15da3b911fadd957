#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bobby::http {

/// Upper bounds of the duration histogram, in seconds; what took longer is in one more bucket.
inline constexpr std::array<double, 14> kDurationBounds = {
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};

/// What became of the requests of one route.
struct RouteCounts {
  std::string method;                       ///< "other" for requests that no route took
  std::string route;                        ///< "/v1/drafts/{id}"; "other" likewise
  std::array<std::uint64_t, 5> by_class{};  ///< 1xx .. 5xx
  std::array<std::uint64_t, kDurationBounds.size() + 1> durations{};  ///< not cumulative
  double seconds = 0;                                                 ///< of all of them
  std::uint64_t bytes = 0;                                            ///< written
};

struct TransportCounts {
  std::int64_t connections_open = 0;
  std::uint64_t connections_taken = 0;
  std::uint64_t connections_refused = 0;  ///< beyond the limit
  std::int64_t requests_running = 0;
  std::vector<RouteCounts> routes;
};

/// Counts what the transport does; any thread.
class Metrics {
 public:
  void connection_opened(bool refused);
  void connection_closed() { --open_; }
  void request_started() { ++running_; }
  void request_ended() { --running_; }
  void count(std::string_view method, std::string_view route, int status, double seconds,
             std::uint64_t bytes);

  TransportCounts snapshot() const;

 private:
  std::atomic<std::int64_t> open_ = 0;
  std::atomic<std::int64_t> running_ = 0;
  std::atomic<std::uint64_t> taken_ = 0;
  std::atomic<std::uint64_t> refused_ = 0;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, RouteCounts> routes_;
};

}  // namespace bobby::http
