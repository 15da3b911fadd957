#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bobby::http {

/// What stands in front of a body.
struct RequestHead {
  std::string method;
  std::string target;  ///< as it was sent
  /// Names in lower case; what was given several times is joined with ", ".
  std::map<std::string, std::string, std::less<>> fields;
  bool repeated_identity = false;  ///< Host, Origin, Authorization or X-Api-Key given twice
  bool http_1_0 = false;
  bool keep_alive = true;
  bool has_body = false;
  std::optional<std::uint64_t> content_length;
};

/// Reads one request from bytes as they come, with Beast's parser behind it.
class RequestParser {
 public:
  enum class State { kMore, kReady, kFailed };
  struct Step {
    State state = State::kMore;
    std::size_t consumed = 0;  ///< bytes that are done with; the others are to be given again
    int status = 0;            ///< when failed: 400, 413 or 431
    std::string problem = {};  ///< when failed: one sentence
  };

  explicit RequestParser(std::size_t header_limit);
  ~RequestParser();

  Step read_head(std::string_view bytes);
  /// Once the head is ready, once.
  RequestHead head() const;
  /// Once the head is ready. Ready at once when there is no body.
  Step read_body(std::string_view bytes);
  void limit_body(std::size_t bytes);
  std::string take_body();

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace bobby::http
