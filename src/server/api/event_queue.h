#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace bobby::server {

/// Events from any thread to one coroutine. Pushing never waits; what is pushed is bounded by who
/// pushes (a request's tokens).
template <typename Event>
class EventQueue {
 public:
  void push(Event event) {
    std::unique_ptr<Waiter> waiter;
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
      waiter = std::move(waiter_);
    }
    if (waiter) waiter->resume();
  }

  /// All events since the last call, in order; waits until there is one. One coroutine at a time.
  boost::asio::awaitable<std::vector<Event>> take() {
    co_await wait();
    const std::lock_guard lock(mutex_);
    co_return std::exchange(events_, {});
  }

 private:
  /// A coroutine that waits.
  struct Waiter {
    virtual ~Waiter() = default;
    virtual void resume() = 0;
  };

  /// Where it runs there is work to do until it does.
  template <typename Handler>
  struct Waiting final : Waiter {
    explicit Waiting(Handler given)
        : executor(boost::asio::prefer(boost::asio::get_associated_executor(given),
                                       boost::asio::execution::outstanding_work.tracked)),
          handler(std::move(given)) {}
    void resume() override {
      boost::asio::post(executor,
                        [waiting = std::move(handler)]() mutable { std::move(waiting)(); });
    }
    boost::asio::any_io_executor executor;
    Handler handler;
  };

  boost::asio::awaitable<void> wait() {
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
        [this](auto handler) {
          std::unique_ptr<Waiter> waiter =
              std::make_unique<Waiting<decltype(handler)>>(std::move(handler));
          {
            const std::lock_guard lock(mutex_);
            if (events_.empty()) {
              waiter_ = std::move(waiter);
              return;
            }
          }
          waiter->resume();
        },
        boost::asio::use_awaitable);
  }

  std::mutex mutex_;
  std::vector<Event> events_;
  std::unique_ptr<Waiter> waiter_;
};

}  // namespace bobby::server
