#include "server/http/session.h"

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "server/http/admission.h"
#include "server/http/answer.h"
#include "server/http/error_response.h"
#include "server/http/live_exchange.h"
#include "server/http/request_parser.h"

namespace bobby::http {
namespace {

namespace asio = boost::asio;
using Arrival = Connection::Arrival;

// The client closed before it had asked: the status that nginx made known for it.
constexpr int kClientLeft = 499;

// A request on its way through.
struct Incoming {
  Clock::time_point begin = Clock::now();
  std::chrono::system_clock::time_point time = std::chrono::system_clock::now();
  std::uint64_t written_before = 0;
  RequestParser parser;
  RequestHead head = {};
  Admission admission = {};
  AnswerFrame frame = {};
  bool left = false;  // the client, in the middle of the request
};

class Session {
 public:
  Session(const Core& core, std::shared_ptr<Connection> connection)
      : core_(core), limits_(core.options.limits), connection_(std::move(connection)) {}

  asio::awaitable<void> run();

 private:
  asio::awaitable<bool> wait_for_request(Clock::duration time);
  asio::awaitable<bool> serve_one();
  asio::awaitable<std::optional<Response>> read(Incoming& incoming);
  asio::awaitable<std::optional<Response>> read_head(Incoming& incoming);
  asio::awaitable<std::optional<Response>> read_body(Incoming& incoming);
  asio::awaitable<void> handle(Incoming& incoming);
  asio::awaitable<std::string> settle(LiveExchange& exchange, std::string problem);
  Request make_request(Incoming& incoming, std::shared_ptr<std::atomic<bool>> gone);
  void record(const Incoming& incoming, int status, std::string note);

  const Core& core_;
  const Limits& limits_;
  std::shared_ptr<Connection> connection_;
};

std::optional<Response> failure(const RequestParser::Step& step) {
  if (step.state != RequestParser::State::kFailed) return std::nullopt;
  const bool is_limit = step.status == 413 || step.status == 431;
  return error_response(step.status, is_limit ? "limit" : "malformed", step.problem);
}

Response late(std::string_view what, std::chrono::milliseconds time) {
  return error_response(
      408, "timeout",
      std::string(what) + " did not arrive within " + std::to_string(time.count()) + " ms");
}

asio::awaitable<void> Session::run() {
  // Who connects means to ask: there is no idling before the first request.
  bool more = co_await wait_for_request(limits_.header_time);
  while (more) {
    more = co_await serve_one();
    if (!more) break;
    more = co_await wait_for_request(limits_.idle_time);
  }
}

asio::awaitable<bool> Session::wait_for_request(Clock::duration time) {
  const Clock::time_point deadline = Clock::now() + time;
  for (;;) {
    if (connection_->is_finishing()) co_return false;
    // An empty line in front of a request is nothing (RFC 9112, 2.2).
    while (connection_->inbox().starts_with("\r\n")) connection_->consume(2);
    const std::string_view inbox = connection_->inbox();
    if (!inbox.empty() && inbox != "\r") co_return true;
    const Arrival arrival = co_await connection_->more_when_idle(deadline);
    if (arrival != Arrival::kBytes) co_return false;
  }
}

asio::awaitable<bool> Session::serve_one() {
  Incoming incoming{.written_before = connection_->bytes_written(),
                    .parser = RequestParser(limits_.header_bytes)};
  std::optional<Response> answer = co_await read(incoming);
  if (incoming.left) {
    record(incoming, kClientLeft, "the client left before it had asked");
    co_return false;
  }
  if (!answer) {
    co_await handle(incoming);
  } else {
    if (connection_->is_finishing()) incoming.frame.keep_alive = false;
    std::string text = answer_text(*answer, incoming.frame);
    co_await connection_->write(std::move(text));
    record(incoming, answer->status, {});
  }
  if (connection_->is_broken()) co_return false;
  if (!incoming.frame.keep_alive) co_await connection_->linger(limits_.linger_time);
  co_return incoming.frame.keep_alive;
}

// What is answered without a handler, if anything.
asio::awaitable<std::optional<Response>> Session::read(Incoming& incoming) {
  incoming.frame.id = request_id({});
  incoming.frame.keep_alive = false;  // after a request that cannot be read there is no next one
  std::optional<Response> answer = co_await read_head(incoming);
  if (answer || incoming.left) co_return answer;
  RequestHead& head = incoming.head;
  const auto wanted = head.fields.find("x-request-id");
  if (wanted != head.fields.end()) incoming.frame.id = request_id(wanted->second);
  incoming.frame.http_1_0 = head.http_1_0;
  incoming.frame.head_only = head.method == "HEAD";
  incoming.admission = admit(core_, head, connection_->peer());
  incoming.frame.cross_origin = incoming.admission.cross_origin;
  if (incoming.admission.answer) {
    incoming.frame.keep_alive = head.keep_alive && !head.has_body;  // a body stays unread
    co_return std::move(incoming.admission.answer);
  }
  answer = co_await read_body(incoming);
  if (!answer) incoming.frame.keep_alive = head.keep_alive;
  co_return answer;
}

asio::awaitable<std::optional<Response>> Session::read_head(Incoming& incoming) {
  const Clock::time_point deadline = incoming.begin + limits_.header_time;
  for (;;) {
    const RequestParser::Step step = incoming.parser.read_head(connection_->inbox());
    connection_->consume(step.consumed);
    if (step.state == RequestParser::State::kReady) break;
    if (step.state == RequestParser::State::kFailed) co_return failure(step);
    const Arrival arrival = co_await connection_->more(deadline);
    if (arrival == Arrival::kTimeout) co_return late("the header", limits_.header_time);
    incoming.left = arrival == Arrival::kEnd;
    if (incoming.left) co_return std::nullopt;
  }
  incoming.head = incoming.parser.head();
  co_return std::nullopt;
}

asio::awaitable<std::optional<Response>> Session::read_body(Incoming& incoming) {
  const RequestHead& head = incoming.head;
  if (!head.has_body) co_return std::nullopt;
  const Clock::time_point deadline = Clock::now() + limits_.body_time;
  incoming.parser.limit_body(incoming.admission.match.route->body_limit);
  // Whoever has begun to send does not wait for our word.
  if (head.fields.contains("expect") && !head.http_1_0 && connection_->inbox().empty())
    co_await connection_->write("HTTP/1.1 100 Continue\r\n\r\n");
  for (;;) {
    const RequestParser::Step step = incoming.parser.read_body(connection_->inbox());
    connection_->consume(step.consumed);
    if (step.state == RequestParser::State::kReady) co_return std::nullopt;
    if (step.state == RequestParser::State::kFailed) co_return failure(step);
    const Arrival arrival = co_await connection_->more(deadline);
    if (arrival == Arrival::kTimeout) co_return late("the body", limits_.body_time);
    incoming.left = arrival == Arrival::kEnd;
    if (incoming.left) co_return std::nullopt;
  }
}

Request Session::make_request(Incoming& incoming, std::shared_ptr<std::atomic<bool>> gone) {
  Request request;
  request.method = incoming.head.method;
  request.path = incoming.admission.target.path;
  request.query = std::move(incoming.admission.target.query);
  request.fields = std::move(incoming.head.fields);
  request.parts = std::move(incoming.admission.match.parts);
  request.body = incoming.parser.take_body();
  request.id = incoming.frame.id;
  request.client = incoming.admission.client;
  request.gone = std::move(gone);
  return request;
}

// Counts a request as running while it lives.
class Running {
 public:
  explicit Running(Metrics& metrics) : metrics_(metrics) { metrics_.request_started(); }
  ~Running() { metrics_.request_ended(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  Metrics& metrics_;
};

asio::awaitable<void> Session::handle(Incoming& incoming) {
  const Running running(*core_.options.metrics);
  auto gone = std::make_shared<std::atomic<bool>>(false);
  LiveExchange exchange(make_request(incoming, gone), incoming.frame, connection_,
                        core_.options.comment_interval);
  connection_->watch(std::move(gone));
  std::string problem;
  try {
    co_await incoming.admission.match.route->handler(exchange);
  } catch (const std::exception& error) {
    problem = std::string("the handler failed: ") + error.what();
  } catch (...) {
    problem = "the handler failed";
  }
  std::string note = co_await settle(exchange, std::move(problem));
  connection_->unwatch();
  incoming.frame.keep_alive = exchange.keeps_alive() && exchange.is_answered();
  record(incoming, exchange.is_answered() ? exchange.status() : kClientLeft, std::move(note));
}

// Whatever the handler did, the client gets an answer with an end. Returns the log's note.
asio::awaitable<std::string> Session::settle(LiveExchange& exchange, std::string problem) {
  const bool client_left = connection_->has_ended();
  if (exchange.has_events()) {
    co_await exchange.end_events(problem.empty());
  } else if (!exchange.is_answered() && !client_left) {
    if (problem.empty() && *exchange.request().gone) {
      Response response = error_response(503, "cancelled", "the server is shutting down");
      co_await exchange.respond(std::move(response));
    } else {
      if (problem.empty()) problem = "the handler did not answer";
      Response response = error_response(
          500, "internal",
          "the server failed; its log has the reason under the id " + exchange.request().id);
      co_await exchange.respond(std::move(response));
    }
  }
  const bool cut_short = exchange.has_events() || !exchange.is_answered();
  if (problem.empty() && client_left && cut_short) problem = "the client left";
  co_return problem;
}

void Session::record(const Incoming& incoming, int status, std::string note) {
  const std::chrono::duration<double> time = Clock::now() - incoming.begin;
  const std::uint64_t bytes = connection_->bytes_written() - incoming.written_before;
  const Route* route = incoming.admission.match.route;
  core_.options.metrics->count(route != nullptr ? route->method : "other",
                               route != nullptr ? route->path : "other", status, time.count(),
                               bytes);
  if (core_.log == nullptr) return;
  LogLine line{.time = incoming.time,
               .id = incoming.frame.id,
               .method = incoming.head.method,
               .path = incoming.admission.target.path,
               .status = status,
               .milliseconds = time.count() * 1e3,
               .bytes = bytes,
               .client = incoming.admission.client,
               .note = std::move(note)};
  if (line.client.empty()) line.client = connection_->peer();
  core_.log(line);
}

}  // namespace

asio::awaitable<void> serve(const Core& core, std::shared_ptr<Connection> connection) {
  Session session(core, std::move(connection));
  co_await session.run();
}

asio::awaitable<void> turn_away(const Core& core, std::shared_ptr<Connection> connection) {
  Response response = error_response(503, "busy", "the server has as many connections as it takes");
  response.fields.emplace_back("Retry-After", "1");
  AnswerFrame frame;
  frame.id = request_id({});
  frame.keep_alive = false;
  std::string text = answer_text(response, frame);
  co_await connection->write(std::move(text));
  co_await connection->linger(core.options.limits.linger_time);
}

}  // namespace bobby::http
