#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>
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
    Waiter waiter;
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
      waiter = std::exchange(waiter_, Waiter());
    }
    if (waiter) boost::asio::post(executor_of(waiter), std::move(waiter));
  }

  /// All events since the last call, in order; waits until there is one. One coroutine at a time.
  boost::asio::awaitable<std::vector<Event>> take() {
    co_await wait();
    const std::lock_guard lock(mutex_);
    co_return std::exchange(events_, {});
  }

 private:
  using Waiter = boost::asio::any_completion_handler<void()>;

  static auto executor_of(const Waiter& waiter) {
    return boost::asio::get_associated_executor(waiter);
  }

  boost::asio::awaitable<void> wait() {
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
        [this](auto handler) {
          Waiter waiter(std::move(handler));
          {
            const std::lock_guard lock(mutex_);
            if (events_.empty()) {
              waiter_ = std::move(waiter);
              return;
            }
          }
          boost::asio::post(executor_of(waiter), std::move(waiter));
        },
        boost::asio::use_awaitable);
  }

  std::mutex mutex_;
  std::vector<Event> events_;
  Waiter waiter_;
};

}  // namespace bobby::server
