#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bobby::http {

/// A request as it was read, whole.
struct Request {
  std::string method;                                      ///< "GET"
  std::string path;                                        ///< percent-decoded, without the query
  std::map<std::string, std::string, std::less<>> query;   ///< percent-decoded
  std::map<std::string, std::string, std::less<>> fields;  ///< header fields, names in lower case
  std::map<std::string, std::string, std::less<>> parts;   ///< what a route's {name} stood for
  std::string body;
  std::string id;      ///< X-Request-Id of the answer
  std::string client;  ///< who takes turns with others: a digest of the key, or the peer's address
  /// Set once the client is gone, or the server no longer waits for it.
  std::shared_ptr<const std::atomic<bool>> gone;

  /// A header field's value, if the request has it. `name` in lower case.
  std::optional<std::string_view> field(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> fields;  ///< further header fields
};

/// Server-sent events, after their header has been sent.
class Events {
 public:
  virtual ~Events() = default;
  /// One event, "data: TEXT" (TEXT holds no line end). False once the client is gone.
  virtual boost::asio::awaitable<bool> send(std::string text) = 0;
};

/// One request and its answer. A handler answers exactly once: respond(), or start_events().
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const Request& request() const = 0;
  virtual boost::asio::awaitable<void> respond(Response response) = 0;
  /// Comments keep the connection alive while nothing is sent. Valid until the handler returns.
  virtual boost::asio::awaitable<Events*> start_events() = 0;
};

/// Runs on the server's threads, one coroutine a request; must not block.
using Handler = std::function<boost::asio::awaitable<void>(Exchange&)>;

struct Route {
  std::string method;
  std::string path;  ///< "/v1/drafts/{id}": a part in braces stands for one segment
  Handler handler;
  bool open = false;                              ///< needs no key
  std::size_t body_limit = std::size_t{1} << 20;  ///< bytes
};

}  // namespace bobby::http
