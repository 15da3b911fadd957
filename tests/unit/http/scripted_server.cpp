#include "unit/http/scripted_server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

namespace bobby::net {
namespace {

// Whether the head and what it says of a body are there. A connection that is closed with bytes
// unread takes its answer with it.
bool is_whole(const std::string& request) {
  constexpr std::string_view kLength = "Content-Length: ";
  const auto end = request.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  const auto length = request.find(kLength);
  if (length == std::string::npos || length > end) return true;
  return request.size() >= end + 4 + std::stoul(request.substr(length + kLength.size()));
}

}  // namespace

ScriptedServer::ScriptedServer(std::vector<std::string> script)
    : ScriptedServer([script = std::move(script), number = std::size_t{0}](const auto&) mutable {
        return script[std::min(number++, script.size() - 1)];
      }) {}

ScriptedServer::ScriptedServer(Reply reply) : reply_(std::move(reply)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ::bind(listener_, reinterpret_cast<sockaddr*>(&address), length);
  ::listen(listener_, 16);
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

ScriptedServer::~ScriptedServer() {
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  ::close(listener_);
  for (const int connection : silent_) ::close(connection);
}

std::string ScriptedServer::url() const {
  return "http://127.0.0.1:" + std::to_string(port_);
}

void ScriptedServer::serve() {
  for (;;) {
    const int connection = ::accept(listener_, nullptr, nullptr);
    if (connection < 0) return;
    ++connections_;
    std::string request;
    std::array<char, 4096> part{};
    while (!is_whole(request)) {
      const ssize_t count = ::recv(connection, part.data(), part.size(), 0);
      if (count <= 0) break;
      request.append(part.data(), static_cast<std::size_t>(count));
    }
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const std::string text = reply_(request);
    if (text.empty()) {
      silent_.push_back(connection);
      continue;
    }
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t count =
          ::send(connection, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;
      sent += static_cast<std::size_t>(count);
    }
    ::close(connection);
  }
}

std::string answer(int status, const std::string& body, const std::string& headers) {
  return "HTTP/1.1 " + std::to_string(status) +
         " Status\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n" +
         headers + "\r\n" + body;
}

}  // namespace bobby::net
