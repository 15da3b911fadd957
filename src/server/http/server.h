#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/http/exchange.h"
#include "server/http/log.h"
#include "server/http/metrics.h"

namespace bobby::http {

/// What a client may take of us. How long an answer may take is the handlers' business.
struct Limits {
  std::size_t header_bytes = std::size_t{16} << 10;
  std::chrono::milliseconds header_time{10'000};  ///< from a header's first byte to its last
  std::chrono::milliseconds body_time{30'000};    ///< from the end of the header to the last byte
  std::chrono::milliseconds idle_time{60'000};    ///< between two requests
  std::chrono::milliseconds write_time{30'000};   ///< that a write may stand still
  std::chrono::milliseconds linger_time{1'000};   ///< for what was on its way when we closed
  std::size_t max_connections = 1024;             ///< further ones are answered 503
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;             ///< 0: any free one
  std::filesystem::path unix_socket;  ///< not empty: listens there and on no host
  std::vector<std::string> api_keys;  ///< empty: whoever reaches the server may ask
  std::vector<std::string> allowed_origins;
  Limits limits;
  std::chrono::milliseconds comment_interval{10'000};  ///< between comments in silent events
  std::shared_ptr<Metrics> metrics;                    ///< counts here, if given
};

/// The transport: reads requests, checks who asks, and hands them to the routes' handlers.
class Server {
 public:
  /// Binds and listens; connections wait in the system's queue until run(). Refuses (kUsage) a
  /// host that other machines reach when there are no keys, an address or a socket file in use, and
  /// an origin that is none. A socket file that no server listens on any more is replaced.
  static Result<std::unique_ptr<Server>> listen(ServerOptions options, std::vector<Route> routes,
                                                Log log);
  /// Whoever is still connected is cut off. run() must have returned.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Where it listens: "http://127.0.0.1:8080" or "unix:/run/bobby.sock".
  std::string address() const;
  /// 0 for a socket file.
  std::uint16_t port() const;
  TransportCounts metrics() const;

  /// Serves with `threads` >= 1 threads, the caller's among them, until drain() or stop().
  void run(int threads);

  /// Takes no further connections; those there are go on. Any thread.
  void stop_accepting();
  /// Stops accepting, ends idle connections and waits for the running exchanges. When `timeout` is
  /// over, sets their Request::gone, waits for `grace` more, and cuts off who is left: then false.
  /// run() returns. Any thread but the server's.
  bool drain(std::chrono::milliseconds timeout,
             std::chrono::milliseconds grace = std::chrono::milliseconds(2'000));
  /// run() returns at once, whatever runs. Any thread.
  void stop();

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bobby::http
