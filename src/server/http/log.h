#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace bobby::http {

/// One request, done. Never what it said, nor a key.
struct LogLine {
  std::chrono::system_clock::time_point time;  ///< when its first byte came
  std::string id;                              ///< X-Request-Id
  std::string method;                          ///< empty: the request could not be read
  std::string path;                            ///< without the query
  int status = 0;                              ///< 499: the client left before it was answered
  double milliseconds = 0;
  std::uint64_t bytes = 0;  ///< written
  std::string client;
  std::string note;  ///< what went wrong on our side or on the way; mostly empty
};

/// Called on the server's threads, several at once.
using Log = std::function<void(const LogLine&)>;

/// time=... id=... method=GET path=/health status=200 ms=0.4 bytes=180 client=127.0.0.1
std::string as_logfmt(const LogLine& line);
/// The same fields as one JSON object.
std::string as_json(const LogLine& line);

}  // namespace bobby::http
