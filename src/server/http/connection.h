#pragma once

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace bobby::http {

using Clock = std::chrono::steady_clock;

/// A socket that is read ahead of what is wanted, so that its end is seen while a handler runs.
/// Everything runs on its own strand, which is executor()'s.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  /// `write_time`: how long a write may stand still.
  Connection(Socket socket, std::string peer, Clock::duration write_time);

  boost::asio::any_io_executor executor() { return socket_.get_executor(); }
  const std::string& peer() const { return peer_; }

  enum class Arrival { kBytes, kEnd, kTimeout };
  /// Waits until inbox() has grown, the other side has ended, or `deadline` has passed.
  boost::asio::awaitable<Arrival> more(Clock::time_point deadline);
  /// The same between two requests: finish() ends it.
  boost::asio::awaitable<Arrival> more_when_idle(Clock::time_point deadline);
  /// What came and has not been consumed.
  std::string_view inbox() const { return inbox_; }
  void consume(std::size_t bytes) { inbox_.erase(0, bytes); }

  /// From now on the flag is set once the other side is gone; reading goes on, within bounds.
  void watch(std::shared_ptr<std::atomic<bool>> gone);
  void unwatch() { gone_.reset(); }

  /// Sends all of it, after what is being sent. False when the connection is broken.
  boost::asio::awaitable<bool> write(std::string bytes);
  bool is_writing() const { return writing_; }
  bool is_broken() const { return broken_; }
  bool has_ended() const { return ended_; }  ///< the other side has closed
  Clock::time_point last_write() const { return last_write_; }
  std::uint64_t bytes_written() const { return bytes_written_; }

  /// Ends our side and reads on for a moment: closing at once would throw away, on its way, an
  /// answer to a request that was not read to its end.
  boost::asio::awaitable<void> linger(Clock::duration time);
  void close();

  // Of a server that stops. On the strand.
  void finish();   ///< no further request; an idle connection ends
  void abandon();  ///< who is watched for is said to be gone
  bool is_finishing() const { return finishing_; }

 private:
  boost::asio::awaitable<Arrival> wait_for_bytes(Clock::time_point deadline, bool idle);
  void start_read();
  void arm_write_timer();
  void break_off();

  Socket socket_;
  std::string peer_;
  Clock::duration write_time_;
  boost::asio::steady_timer wake_;  // of who waits in more()
  boost::asio::steady_timer turn_;  // of who waits to write
  boost::asio::steady_timer write_timer_;
  std::array<char, 8192> chunk_{};
  std::string inbox_;
  std::shared_ptr<std::atomic<bool>> gone_;
  Clock::time_point last_write_ = Clock::now();
  std::uint64_t bytes_written_ = 0;
  bool reading_ = false;
  bool ended_ = false;  // nothing more will come
  bool writing_ = false;
  bool broken_ = false;  // nothing more can be sent
  bool finishing_ = false;
};

}  // namespace bobby::http
