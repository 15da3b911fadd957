#pragma once

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/http/server.h"
#include "unit/server/http_client.h"

namespace bobby::http {

using namespace std::chrono_literals;

inline boost::asio::awaitable<void> pause(std::chrono::milliseconds time) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  timer.expires_after(time);
  co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
}

/// Whether `condition` comes true within `time`.
inline bool soon(const std::function<bool()>& condition, std::chrono::milliseconds time = 5000ms) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

/// Answers with what it was asked: method, path, parts, query, client and body.
inline boost::asio::awaitable<void> echo(Exchange& exchange) {
  const Request& request = exchange.request();
  Response response;
  response.content_type = "text/plain";
  response.body = request.method + " " + request.path;
  for (const auto& [name, value] : request.parts) response.body += " " + name + "=" + value;
  for (const auto& [name, value] : request.query) response.body += " ?" + name + "=" + value;
  if (!request.body.empty()) response.body += " [" + request.body + "]";
  co_await exchange.respond(std::move(response));
}

/// A server that runs while the test does.
class RunningServer {
 public:
  explicit RunningServer(std::vector<Route> routes, ServerOptions options = {}, int threads = 2) {
    auto server =
        Server::listen(std::move(options), std::move(routes), [this](const LogLine& line) {
          const std::lock_guard lock(mutex_);
          lines_.push_back(line);
        });
    if (!server) {
      ADD_FAILURE() << server.error().to_string();
      return;
    }
    server_ = *std::move(server);
    thread_ = std::thread([this, threads] { server_->run(threads); });
  }
  ~RunningServer() {
    if (server_ == nullptr) return;
    server_->stop();
    thread_.join();
  }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  Server* operator->() { return server_.get(); }
  std::uint16_t port() const { return server_->port(); }
  /// Waits until `count` requests are logged.
  std::vector<LogLine> lines(std::size_t count) {
    const auto have = [&] {
      const std::lock_guard lock(mutex_);
      return lines_.size() >= count;
    };
    EXPECT_TRUE(soon(have)) << "fewer than " << count << " lines";
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::vector<LogLine> lines_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

}  // namespace bobby::http
