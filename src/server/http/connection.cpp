#include "server/http/connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace bobby::http {
namespace {

namespace asio = boost::asio;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

// Of pipelined requests, while one is answered.
constexpr std::size_t kReadAhead = std::size_t{64} << 10;

}  // namespace

Connection::Connection(Socket socket, std::string peer, Clock::duration write_time)
    : socket_(std::move(socket)),
      peer_(std::move(peer)),
      write_time_(write_time),
      wake_(socket_.get_executor()),
      turn_(socket_.get_executor()),
      write_timer_(socket_.get_executor()) {}

asio::awaitable<Connection::Arrival> Connection::more(Clock::time_point deadline) {
  return wait_for_bytes(deadline, false);
}

asio::awaitable<Connection::Arrival> Connection::more_when_idle(Clock::time_point deadline) {
  return wait_for_bytes(deadline, true);
}

asio::awaitable<Connection::Arrival> Connection::wait_for_bytes(Clock::time_point deadline,
                                                                bool idle) {
  const std::size_t before = inbox_.size();
  while (inbox_.size() == before) {
    if (ended_ || (idle && finishing_)) co_return Arrival::kEnd;
    if (Clock::now() >= deadline) co_return Arrival::kTimeout;
    start_read();
    wake_.expires_at(deadline);
    co_await wake_.async_wait(kAsTuple);
  }
  co_return Arrival::kBytes;
}

void Connection::start_read() {
  if (reading_ || ended_) return;
  reading_ = true;
  socket_.async_read_some(
      asio::buffer(chunk_),
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t count) {
        self->reading_ = false;
        self->inbox_.append(self->chunk_.data(), count);
        if (error) {
          self->ended_ = true;
          if (self->gone_) *self->gone_ = true;
        } else if (self->gone_ && self->inbox_.size() < kReadAhead) {
          self->start_read();
        }
        self->wake_.cancel();
      });
}

void Connection::watch(std::shared_ptr<std::atomic<bool>> gone) {
  gone_ = std::move(gone);
  if (ended_) *gone_ = true;
  if (inbox_.size() < kReadAhead) start_read();
}

void Connection::arm_write_timer() {
  write_timer_.expires_after(write_time_);
  write_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    // A wait that ended while its write did is not for the write that followed.
    if (!error && self->writing_ && self->write_timer_.expiry() <= Clock::now()) self->break_off();
  });
}

asio::awaitable<bool> Connection::write(std::string bytes) {
  while (writing_) {
    turn_.expires_at(Clock::time_point::max());
    co_await turn_.async_wait(kAsTuple);
  }
  writing_ = true;
  std::size_t sent = 0;
  while (sent < bytes.size() && !broken_) {
    arm_write_timer();
    const auto rest = asio::buffer(bytes.data() + sent, bytes.size() - sent);
    const auto [error, count] = co_await socket_.async_write_some(rest, kAsTuple);
    sent += count;
    bytes_written_ += count;
    if (error) break_off();
  }
  write_timer_.cancel();
  last_write_ = Clock::now();
  writing_ = false;
  turn_.cancel();
  co_return !broken_;
}

asio::awaitable<void> Connection::linger(Clock::duration time) {
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  const Clock::time_point deadline = Clock::now() + time;
  Arrival arrival = Arrival::kBytes;
  while (arrival == Arrival::kBytes && !broken_) {
    inbox_.clear();
    arrival = co_await more(deadline);
  }
}

void Connection::close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  wake_.cancel();
}

void Connection::break_off() {
  broken_ = true;
  ended_ = true;
  if (gone_) *gone_ = true;
  close();
}

void Connection::finish() {
  finishing_ = true;
  wake_.cancel();
}

void Connection::abandon() {
  finishing_ = true;
  if (gone_) *gone_ = true;
  wake_.cancel();
}

}  // namespace bobby::http
