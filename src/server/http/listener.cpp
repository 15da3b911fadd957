#include "server/http/listener.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <netinet/in.h>
#include <optional>
#include <sys/stat.h>
#include <sys/un.h>

namespace bobby::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Protocol = asio::generic::stream_protocol;

std::string host_text(const asio::ip::address& address) {
  return address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
}

Result<asio::ip::address> resolve(asio::io_context& context, const std::string& host) {
  const bool in_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  error_code error;
  const auto address =
      asio::ip::make_address(in_brackets ? host.substr(1, host.size() - 2) : host, error);
  if (!error) return address;
  asio::ip::tcp::resolver resolver(context);
  const auto found = resolver.resolve(host, "", asio::ip::tcp::resolver::passive, error);
  if (error || found.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = "--host",
                 .problem = "is no address of this machine",
                 .found = "'" + host + "'",
                 .hint = "127.0.0.1 is this machine alone"});
  for (const auto& entry : found)
    if (entry.endpoint().address().is_v4()) return entry.endpoint().address();
  return found.begin()->endpoint().address();
}

Error listen_error(const std::string& where, const error_code& error) {
  if (error.value() == EADDRINUSE)
    return {.code = ErrorCode::kIo,
            .where = where,
            .problem = "another program listens there already",
            .hint = "stop it, or choose another port with --port"};
  if (error.value() == EACCES)
    return {.code = ErrorCode::kIo,
            .where = where,
            .problem = "this port needs privileges",
            .hint = "choose one from 1024 with --port"};
  return {.code = ErrorCode::kIo,
          .where = where,
          .problem = "cannot be listened on: " + error.message()};
}

std::uint16_t bound_port(const Listener::Acceptor& acceptor) {
  error_code error;
  const auto endpoint = acceptor.local_endpoint(error);
  if (error) return 0;
  if (endpoint.protocol().family() == AF_INET6) {
    sockaddr_in6 address{};
    std::memcpy(&address, endpoint.data(), sizeof address);
    return ntohs(address.sin6_port);
  }
  sockaddr_in address{};
  std::memcpy(&address, endpoint.data(), sizeof address);
  return ntohs(address.sin_port);
}

Result<Listener> listen_on_host(asio::io_context& context, const ServerOptions& options) {
  BOBBY_TRY(const asio::ip::address address, resolve(context, options.host));
  if (!address.is_loopback() && options.api_keys.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = "--host " + options.host,
                 .problem = "other machines could reach the server, and it has no API keys",
                 .hint = "give keys with --api-key-file, or stay on 127.0.0.1"});
  const asio::ip::tcp::endpoint endpoint(address, options.port);
  const std::string where = fmt::format("{}:{}", host_text(address), options.port);
  Listener listener{.acceptor = Listener::Acceptor(context)};
  error_code error;
  listener.acceptor.open(Protocol(endpoint.protocol()), error);
  if (!error) listener.acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) listener.acceptor.bind(endpoint, error);
  if (!error) listener.acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(listen_error(where, error));
  listener.port = bound_port(listener.acceptor);
  listener.loopback = address.is_loopback();
  listener.address = fmt::format("http://{}:{}", host_text(address), listener.port);
  return listener;
}

// Makes room for a socket at `path`: a file that no one listens on any more goes.
Result<void> clear_socket_file(asio::io_context& context, const std::filesystem::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode))
    return fail({.code = ErrorCode::kUsage,
                 .where = path.string(),
                 .problem = "is there already and is no socket",
                 .hint = "choose another path"});
  asio::local::stream_protocol::socket probe(context);
  error_code error;
  probe.connect(asio::local::stream_protocol::endpoint(path.string()), error);
  if (error.value() != ECONNREFUSED)
    return fail({.code = ErrorCode::kIo,
                 .where = path.string(),
                 .problem = error ? "is a socket that cannot be replaced: " + error.message()
                                  : "another server listens there already",
                 .hint = "stop it, or choose another path"});
  ::unlink(path.c_str());
  return {};
}

Result<Listener> listen_on_file(asio::io_context& context, const std::filesystem::path& path) {
  if (path.string().size() >= sizeof(sockaddr_un::sun_path))
    return fail({.code = ErrorCode::kLimit,
                 .where = path.string(),
                 .problem = "is too long for a socket's path",
                 .expected = fmt::format("fewer than {} bytes", sizeof(sockaddr_un::sun_path))});
  BOBBY_CHECK(clear_socket_file(context, path));
  Listener listener{.acceptor = Listener::Acceptor(context)};
  const asio::local::stream_protocol::endpoint endpoint(path.string());
  error_code error;
  listener.acceptor.open(Protocol(endpoint.protocol()), error);
  if (!error) listener.acceptor.bind(endpoint, error);
  if (error) return fail(listen_error(path.string(), error));
  listener.file = SocketFile(path);
  // Before listen(), so that there is no moment in which others could connect.
  if (::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0)
    return fail({.code = ErrorCode::kIo,
                 .where = path.string(),
                 .problem = std::string("its mode cannot be set: ") + std::strerror(errno)});
  listener.acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(listen_error(path.string(), error));
  listener.address = "unix:" + path.string();
  return listener;
}

}  // namespace

SocketFile::SocketFile(std::filesystem::path path) : path_(std::move(path)) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) != 0) return;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

SocketFile::~SocketFile() {
  struct stat status {};
  if (path_.empty() || ::lstat(path_.c_str(), &status) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlink(path_.c_str());
}

void SocketFile::swap(SocketFile& other) noexcept {
  path_.swap(other.path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
}

Result<Listener> open_listener(asio::io_context& context, const ServerOptions& options) {
  if (!options.unix_socket.empty()) return listen_on_file(context, options.unix_socket);
  return listen_on_host(context, options);
}

std::string peer_address(const Protocol::socket& socket) {
  error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return "unknown";
  const int family = endpoint.protocol().family();
  if (family == AF_INET || family == AF_INET6) {
    asio::ip::tcp::endpoint peer;
    peer.resize(endpoint.size());
    std::memcpy(peer.data(), endpoint.data(), endpoint.size());
    const asio::ip::address address = peer.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped())
      return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
    return address.to_string();
  }
  return "unix";
}

}  // namespace bobby::http
