#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <filesystem>
#include <sys/types.h>
#include <utility>

#include "base/result.h"
#include "server/http/server.h"

namespace bobby::http {

/// Removes a socket's file, if it is still the one that was made.
class SocketFile {
 public:
  SocketFile() = default;
  explicit SocketFile(std::filesystem::path path);
  ~SocketFile();
  SocketFile(SocketFile&& other) noexcept : SocketFile() { swap(other); }
  SocketFile& operator=(SocketFile&& other) noexcept {
    swap(other);
    return *this;
  }

 private:
  void swap(SocketFile& other) noexcept;

  std::filesystem::path path_;  // empty: none
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

struct Listener {
  using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;
  Acceptor acceptor;
  std::string address = {};  ///< "http://127.0.0.1:8080", "unix:/run/bobby.sock"
  std::uint16_t port = 0;    ///< of TCP
  bool loopback = false;     ///< TCP that other machines do not reach
  SocketFile file = {};
};

/// Binds and listens where the options say; see Server::listen().
Result<Listener> open_listener(boost::asio::io_context& context, const ServerOptions& options);

/// The address of a socket's other side, without its port; "unix" for a socket file.
std::string peer_address(const boost::asio::generic::stream_protocol::socket& socket);

}  // namespace bobby::http
