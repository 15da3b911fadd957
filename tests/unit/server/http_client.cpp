#include "unit/server/http_client.h"

#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace bobby::http {

std::string Answer::field(const std::string& name) const {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string() : found->second;
}

Client::Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval wait{.tv_sec = 5, .tv_usec = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

Client::Client(const std::filesystem::path& socket_file)
    : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_file.c_str(), sizeof address.sun_path - 1);
  const timeval wait{.tv_sec = 5, .tv_usec = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

Client::~Client() {
  close();
}

void Client::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void Client::half_close() {
  ::shutdown(socket_, SHUT_WR);
}

void Client::narrow() {
  const int bytes = 1;
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

bool Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

bool Client::get(std::string_view path, std::string_view fields) {
  return send(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, fields));
}

bool Client::post(std::string_view path, std::string_view body, std::string_view fields) {
  return send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}",
                          path, body.size(), fields, body));
}

bool Client::receive() {
  std::array<char, 4096> chunk{};
  const ssize_t count = ::recv(socket_, chunk.data(), chunk.size(), 0);
  if (count <= 0) return false;
  inbox_.append(chunk.data(), static_cast<std::size_t>(count));
  return true;
}

std::string Client::read_until(std::string_view marker) {
  std::size_t found = inbox_.find(marker);
  while (found == std::string::npos && receive()) found = inbox_.find(marker);
  const std::size_t end = found == std::string::npos ? inbox_.size() : found + marker.size();
  std::string text = inbox_.substr(0, end);
  inbox_.erase(0, end);
  return text;
}

std::string Client::read_exactly(std::size_t count) {
  while (inbox_.size() < count && receive()) {
  }
  std::string text = inbox_.substr(0, count);
  inbox_.erase(0, count);
  return text;
}

std::string Client::read_all() {
  while (receive()) {
  }
  return std::exchange(inbox_, {});
}

bool Client::is_closed() {
  if (!inbox_.empty()) return false;
  char byte = 0;
  const ssize_t count = ::recv(socket_, &byte, 1, 0);
  return count == 0 || (count < 0 && errno == ECONNRESET);
}

Answer Client::answer(bool of_head) {
  Answer answer;
  const std::string head = read_until("\r\n\r\n");
  if (!head.ends_with("\r\n\r\n")) return answer;
  answer.status = std::stoi(head.substr(head.find(' ') + 1, 3));
  for (std::size_t at = head.find("\r\n") + 2; at + 2 < head.size();) {
    const std::size_t colon = head.find(": ", at);
    const std::size_t end = head.find("\r\n", at);
    std::string name = head.substr(at, colon - at);
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    answer.fields[name] = head.substr(colon + 2, end - colon - 2);
    at = end + 2;
  }
  if (of_head) return answer;
  if (answer.fields.contains("content-length"))
    answer.body = read_exactly(std::stoul(answer.fields["content-length"]));
  if (answer.field("transfer-encoding") != "chunked") return answer;
  for (;;) {
    const std::string size = read_until("\r\n");
    const std::size_t count = size.empty() ? 0 : std::stoul(size, nullptr, 16);
    answer.body += read_exactly(count);
    read_until("\r\n");
    if (count == 0) return answer;
  }
}

}  // namespace bobby::http
