#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "bluesky/http_get.h"

namespace bobby::bluesky {

struct HttpSettings {
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{60'000};  ///< of one try, from the first byte to the last
  std::size_t most_bytes = std::size_t{16} << 20;
  int tries = 5;
  std::chrono::milliseconds first_wait{500};  ///< doubled after each try
  std::chrono::seconds longest_wait{120};     ///< a server that asks for more is given up on
  /// http:// to this machine, for a server under test; anything else is https.
  bool plain_http_to_loopback = false;
  /// Called ten times a second at least while something is waited for; may throw, which ends the
  /// wait and passes through.
  std::function<void()> watch = {};
};

/// Gets URLs over HTTPS, one after the other, over connections that it keeps. A try that fails in a
/// way that may pass (no connection, a time-out, 408, 429, 5xx) is repeated, after as long as the
/// server asks for, or else ever longer.
class HttpClient {
 public:
  explicit HttpClient(HttpSettings settings = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// kUsage for a URL of another kind; kNotFound for a host that has no address; kTimeout; kLimit
  /// for an answer that is too long; kBusy for a server that asks for more patience than
  /// `longest_wait`; kIo for all other failures. At most three redirects are followed, and from
  /// https to https alone.
  Result<HttpAnswer> get(const std::string& url);

 private:
  struct Easy;
  struct Transfer;

  Result<HttpAnswer> get_once(const std::string& url, bool& may_pass);
  void prepare(Transfer& transfer, const std::string& url);
  Error failure(const Transfer& transfer, const std::string& url, int code, bool& may_pass) const;
  void wait(std::chrono::milliseconds time) const;

  HttpSettings settings_;
  std::unique_ptr<Easy> easy_;
};

}  // namespace bobby::bluesky
