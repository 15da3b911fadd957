#include "server/http/server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "server/http/connection.h"
#include "server/http/core.h"
#include "server/http/listener.h"
#include "server/http/session.h"

namespace bobby::http {
namespace {

namespace asio = boost::asio;

// Connections beyond the limit that are answered 503 at one time; more are closed without a word.
constexpr std::size_t kTurnedAway = 64;

constexpr std::chrono::milliseconds kAcceptPause{100};  // after an error, mostly too many files

}  // namespace

// Coroutines that still wait are destroyed with `context`, so what they hold on to comes first.
struct Server::State {
  Core core;
  asio::io_context context = {};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  asio::strand<asio::io_context::executor_type> accepting{context.get_executor()};
  std::optional<Listener> listener = std::nullopt;
  std::mutex mutex = {};
  std::condition_variable ended = {};
  std::set<std::shared_ptr<Connection>> connections = {};
  bool stopping = false;  // under mutex, as are the connections

  asio::awaitable<void> accept();
  void take(Connection::Socket socket);
  void forget(const std::shared_ptr<Connection>& connection);
  /// Calls what(connection) on the strand of each.
  void each(void (Connection::*what)());
  bool wait_until_ended(std::chrono::milliseconds time);
};

asio::awaitable<void> Server::State::accept() {
  Listener::Acceptor& acceptor = listener->acceptor;
  asio::steady_timer pause(accepting);
  while (acceptor.is_open()) {
    const asio::any_io_executor strand = asio::make_strand(context);
    auto [error, socket] =
        co_await acceptor.async_accept(strand, asio::as_tuple(asio::use_awaitable));
    if (!error) {
      take(std::move(socket));
    } else if (acceptor.is_open()) {
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }
}

void Server::State::take(Connection::Socket socket) {
  boost::system::error_code ignored;
  if (core.options.unix_socket.empty()) socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  std::string peer = peer_address(socket);
  const Limits& limits = core.options.limits;
  const auto connection =
      std::make_shared<Connection>(std::move(socket), std::move(peer), limits.write_time);
  bool refused = false;
  {
    const std::lock_guard lock(mutex);
    refused = connections.size() >= limits.max_connections;
    if (stopping || connections.size() >= limits.max_connections + kTurnedAway) return;
    connections.insert(connection);
  }
  core.options.metrics->connection_opened(refused);
  asio::co_spawn(connection->executor(),
                 refused ? turn_away(core, connection) : serve(core, connection),
                 // An exception here is out of memory, or our own bug: this connection's end.
                 [this, connection](const std::exception_ptr&) {
                   connection->close();
                   forget(connection);
                 });
}

void Server::State::forget(const std::shared_ptr<Connection>& connection) {
  core.options.metrics->connection_closed();
  const std::lock_guard lock(mutex);
  connections.erase(connection);
  ended.notify_all();
}

void Server::State::each(void (Connection::*what)()) {
  const std::lock_guard lock(mutex);
  for (const auto& connection : connections)
    asio::post(connection->executor(), [connection, what] { ((*connection).*what)(); });
}

bool Server::State::wait_until_ended(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex);
  return ended.wait_for(lock, time, [this] { return connections.empty(); });
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() {
  state_->context.stop();
}

Result<std::unique_ptr<Server>> Server::listen(ServerOptions options, std::vector<Route> routes,
                                               Log log) {
  BOBBY_TRY(Router router, Router::make(std::move(routes)));
  BOBBY_TRY(Origins origins, Origins::make(options.allowed_origins));
  if (options.metrics == nullptr) options.metrics = std::make_shared<Metrics>();
  ApiKeys keys(options.api_keys);
  std::unique_ptr<State> state(new State{.core = {.options = std::move(options),
                                                  .router = std::move(router),
                                                  .keys = std::move(keys),
                                                  .origins = std::move(origins),
                                                  .log = std::move(log)}});
  BOBBY_TRY(Listener listener, open_listener(state->context, state->core.options));
  state->core.loopback_names_only = listener.loopback;
  state->listener.emplace(std::move(listener));
  asio::co_spawn(state->accepting, state->accept(), asio::detached);
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

std::string Server::address() const {
  return state_->listener->address;
}

std::uint16_t Server::port() const {
  return state_->listener->port;
}

TransportCounts Server::metrics() const {
  return state_->core.options.metrics->snapshot();
}

void Server::run(int threads) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([this] { state_->context.run(); });
  state_->context.run();
  for (std::thread& other : others) other.join();
}

void Server::stop_accepting() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  asio::post(state_->accepting, [state = state_.get()] {
    boost::system::error_code ignored;
    state->listener->acceptor.close(ignored);
  });
}

bool Server::drain(std::chrono::milliseconds timeout, std::chrono::milliseconds grace) {
  stop_accepting();
  state_->each(&Connection::finish);
  bool in_time = state_->wait_until_ended(timeout);
  if (!in_time) {
    state_->each(&Connection::abandon);
    state_->wait_until_ended(grace);
  }
  stop();
  return in_time;
}

void Server::stop() {
  state_->context.stop();
}

}  // namespace bobby::http
