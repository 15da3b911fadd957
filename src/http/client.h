#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/answer.h"
#include "http/backoff.h"
#include "http/curl_handles.h"
#include "http/request.h"

namespace bobby::net {

struct ClientSettings {
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{60'000};  ///< of one try, from the first byte to the last
  std::size_t most_bytes = std::size_t{16} << 20;
  Patience patience = {};
  /// http:// to this machine, for a server under test; anything else is https.
  bool plain_http_to_loopback = false;
  /// Connections to addresses of the internet alone, wherever a name or a redirect leads, and past
  /// any proxy: for what strangers have written.
  bool public_addresses_only = false;
  Watch watch = {};
};

/// Asks over HTTPS, one question after the other, over connections that it keeps. A try that fails
/// in a way that may pass (no connection, a time-out, 408, 429, 5xx) is repeated, after as long as
/// the server asks for, or else ever longer.
class Client {
 public:
  explicit Client(ClientSettings settings = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// kUsage for a URL of another kind; kNotFound for a host that has no address; kTimeout; kLimit
  /// for an answer that is too long; kBusy for a server that asks for more patience than there is;
  /// kIo for all other failures.
  Result<Answer> send(const Request& request);
  /// Sends it once, whatever comes of it. A POST goes over a connection of its own: over a kept one
  /// that was closed meanwhile it might be sent a second time.
  Exchange ask_once(const Request& request);
  /// GET, with redirects followed.
  Result<Answer> get(const std::string& url) { return send({.url = url, .follow = true}); }

 private:
  struct Transfer;

  CURLcode perform();
  Result<Answer> send_once(const Request& request, bool& may_pass);
  HeaderList prepare(Transfer& transfer, const Request& request);
  Answer answer_of(Transfer& transfer);

  ClientSettings settings_;
  Easy easy_;
  Multi multi_;  // which keeps the connections
};

}  // namespace bobby::net
