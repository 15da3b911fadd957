#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace bobby::server {

/// Events from any thread to one coroutine. Pushing never waits; what is pushed is bounded by who
/// pushes (a request's tokens).
template <typename Event>
class EventQueue {
 public:
  void push(Event event) {
    std::optional<Waiter> waiter;
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
      waiter = std::exchange(waiter_, std::nullopt);
    }
    if (waiter) std::move(*waiter).resume();
  }

  /// All events since the last call, in order; waits until there is one. One coroutine at a time.
  boost::asio::awaitable<std::vector<Event>> take() {
    co_await wait();
    const std::lock_guard lock(mutex_);
    co_return std::exchange(events_, {});
  }

 private:
  /// A coroutine that waits, and where it runs; its executor has work to do until it does.
  struct Waiter {
    boost::asio::any_io_executor executor;
    boost::asio::any_completion_handler<void()> handler;

    void resume() && {
      boost::asio::post(executor,
                        [waiting = std::move(handler)]() mutable { std::move(waiting)(); });
    }
  };

  boost::asio::awaitable<void> wait() {
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
        [this](auto handler) {
          Waiter waiter;
          waiter.executor = boost::asio::prefer(boost::asio::get_associated_executor(handler),
                                                boost::asio::execution::outstanding_work.tracked);
          waiter.handler = std::move(handler);
          {
            const std::lock_guard lock(mutex_);
            if (events_.empty()) {
              waiter_ = std::move(waiter);
              return;
            }
          }
          std::move(waiter).resume();
        },
        boost::asio::use_awaitable);
  }

  std::mutex mutex_;
  std::vector<Event> events_;
  std::optional<Waiter> waiter_;
};

}  // namespace bobby::server
