#include "server/http/live_exchange.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <stdexcept>
#include <utility>

namespace bobby::http {

namespace asio = boost::asio;

// Shared with the coroutine that writes them, which may outlive the exchange by a moment.
struct LiveExchange::Comments {
  asio::steady_timer timer;
  std::chrono::milliseconds interval;
  bool chunked = true;
  bool live = true;
};

LiveExchange::LiveExchange(Request request, AnswerFrame frame,
                           std::shared_ptr<Connection> connection,
                           std::chrono::milliseconds comment_interval)
    : request_(std::move(request)),
      frame_(std::move(frame)),
      connection_(std::move(connection)),
      comment_interval_(comment_interval) {}

LiveExchange::~LiveExchange() {
  stop_comments();
}

void LiveExchange::begin_answer(int status) {
  if (is_answered()) throw std::logic_error("the request is answered already");
  status_ = status;
  if (connection_->is_finishing()) frame_.keep_alive = false;
}

asio::awaitable<void> LiveExchange::respond(Response response) {
  begin_answer(response.status);
  std::string text = answer_text(response, frame_);
  co_await connection_->write(std::move(text));
}

asio::awaitable<Events*> LiveExchange::start_events() {
  begin_answer(200);
  if (frame_.http_1_0) frame_.keep_alive = false;  // the end of the events is the connection's
  std::string head = events_head(frame_);
  comments_ = std::make_shared<Comments>(Comments{asio::steady_timer(connection_->executor()),
                                                  comment_interval_, !frame_.http_1_0, true});
  co_await connection_->write(std::move(head));
  if (!frame_.head_only)
    asio::co_spawn(connection_->executor(), send_comments(connection_, comments_), asio::detached);
  Events* events = this;
  co_return events;
}

asio::awaitable<bool> LiveExchange::send(std::string text) {
  if (*request_.gone || frame_.head_only) co_return false;
  std::string event = event_text(text);
  if (comments_->chunked) event = chunk_text(event);
  const bool sent = co_await connection_->write(std::move(event));
  co_return sent && !*request_.gone;
}

asio::awaitable<void> LiveExchange::send_comments(std::shared_ptr<Connection> connection,
                                                  std::shared_ptr<Comments> comments) {
  const std::string comment = ": keep-alive\n\n";
  while (comments->live && !connection->is_broken()) {
    const Clock::time_point now = Clock::now();
    const Clock::time_point due = connection->last_write() + comments->interval;
    if (due <= now && !connection->is_writing()) {
      std::string text = comments->chunked ? chunk_text(comment) : comment;
      co_await connection->write(std::move(text));
      continue;
    }
    comments->timer.expires_at(due > now ? due : now + comments->interval);
    co_await comments->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

void LiveExchange::stop_comments() {
  if (comments_ == nullptr || !comments_->live) return;
  comments_->live = false;
  comments_->timer.cancel();
}

asio::awaitable<void> LiveExchange::end_events(bool whole) {
  stop_comments();
  if (!whole) frame_.keep_alive = false;
  if (!whole || frame_.head_only || frame_.http_1_0) co_return;
  co_await connection_->write("0\r\n\r\n");
}

}  // namespace bobby::http
