#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace bobby::http {

struct Answer {
  int status = 0;
  std::map<std::string, std::string> fields;  ///< names in lower case
  std::string body;                           ///< without chunks

  std::string field(const std::string& name) const;
};

/// A client that says exactly the bytes it is given. What is waited for longer than five seconds is
/// taken for missing.
class Client {
 public:
  explicit Client(std::uint16_t port);
  explicit Client(const std::filesystem::path& socket_file);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool is_connected() const { return connected_; }
  /// False when the other side has closed.
  bool send(std::string_view bytes);
  /// "GET PATH" with a Host field and `fields` ("Name: value\r\n").
  bool get(std::string_view path, std::string_view fields = {});
  bool post(std::string_view path, std::string_view body, std::string_view fields = {});

  /// The next answer; status 0 when there is none. `of_head`: it has no body whatever it says.
  Answer answer(bool of_head = false);
  /// Everything up to and with `marker`; what there was, if it does not come.
  std::string read_until(std::string_view marker);
  /// Everything until the other side closes.
  std::string read_all();
  /// Whether the other side closes within the wait, sending nothing more.
  bool is_closed();
  void half_close();
  void close();
  /// Receives as little as the system allows, before the first byte.
  void narrow();

 private:
  bool receive();
  std::string read_exactly(std::size_t count);

  int socket_ = -1;
  bool connected_ = false;
  std::string inbox_;
};

}  // namespace bobby::http
