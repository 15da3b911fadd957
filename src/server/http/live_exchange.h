#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "server/http/answer.h"
#include "server/http/connection.h"
#include "server/http/exchange.h"

namespace bobby::http {

/// The exchange that a handler sees, on a connection.
class LiveExchange final : public Exchange, private Events {
 public:
  LiveExchange(Request request, AnswerFrame frame, std::shared_ptr<Connection> connection,
               std::chrono::milliseconds comment_interval);
  ~LiveExchange() override;
  LiveExchange(const LiveExchange&) = delete;
  LiveExchange& operator=(const LiveExchange&) = delete;

  const Request& request() const override { return request_; }
  boost::asio::awaitable<void> respond(Response response) override;
  boost::asio::awaitable<Events*> start_events() override;

  // For the session, once the handler has returned.
  bool is_answered() const { return status_ != 0; }
  int status() const { return status_; }  ///< that was sent; 0: none
  bool has_events() const { return comments_ != nullptr; }
  /// Ends the events; `whole`: they were all sent. Without that the client sees a cut answer.
  boost::asio::awaitable<void> end_events(bool whole);
  /// Whether another request may follow.
  bool keeps_alive() const { return frame_.keep_alive; }

 private:
  struct Comments;
  boost::asio::awaitable<bool> send(std::string text) override;
  static boost::asio::awaitable<void> send_comments(std::shared_ptr<Connection> connection,
                                                    std::shared_ptr<Comments> comments);
  void begin_answer(int status);
  void stop_comments();

  Request request_;
  AnswerFrame frame_;
  std::shared_ptr<Connection> connection_;
  std::chrono::milliseconds comment_interval_;
  int status_ = 0;
  std::shared_ptr<Comments> comments_;  // once events have begun
};

}  // namespace bobby::http
