// The one file that includes Beast, which is slow to compile.

#include "server/http/request_parser.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>
#include <limits>

namespace bobby::http {
namespace {

namespace beast = boost::beast;

std::string lower(beast::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

// Who may read one of these fields and who the other would disagree.
bool names_identity(std::string_view name) {
  return name == "host" || name == "origin" || name == "authorization" || name == "x-api-key";
}

RequestParser::Step failed(const beast::error_code& error) {
  RequestParser::Step step{.state = RequestParser::State::kFailed, .status = 400};
  if (error == beast::http::error::header_limit) {
    step.status = 431;
    step.problem = "the header is too large";
  } else if (error == beast::http::error::body_limit) {
    step.status = 413;
    step.problem = "the body is too large";
  } else if (error == beast::http::error::bad_version) {
    step.problem = "the request line does not end in HTTP/1.0 or HTTP/1.1";
  } else {
    step.problem = fmt::format("the request is not valid HTTP: {}", error.message());
  }
  return step;
}

}  // namespace

struct RequestParser::Parser {
  beast::http::request_parser<beast::http::string_body> beast;
  std::size_t header_limit;

  Step put(std::string_view bytes, bool head) {
    const auto ready = [&] { return head ? beast.is_header_done() : beast.is_done(); };
    if (ready()) return {.state = State::kReady};
    beast::error_code error;
    const std::size_t consumed = beast.put(boost::asio::buffer(bytes), error);
    if (error && error != beast::http::error::need_more) return failed(error);
    if (ready()) return {.state = State::kReady, .consumed = consumed};
    // Chunk extensions and trailers have no end that the body's limit would meet.
    if (bytes.size() - consumed > header_limit)
      return {.state = State::kFailed, .status = 431, .problem = "the header is too large"};
    return {.state = State::kMore, .consumed = consumed};
  }
};

RequestParser::RequestParser(std::size_t header_limit) : parser_(std::make_unique<Parser>()) {
  parser_->header_limit = header_limit;
  parser_->beast.header_limit(static_cast<std::uint32_t>(header_limit));
  parser_->beast.body_limit(boost::none);
  parser_->beast.eager(false);
}
RequestParser::~RequestParser() = default;

RequestParser::Step RequestParser::read_head(std::string_view bytes) {
  Step step = parser_->put(bytes, true);
  if (step.state != State::kReady) return step;
  // Without this, a body in an encoding that we do not read would be taken for the next request.
  const auto& message = parser_->beast.get();
  if (message.count(beast::http::field::transfer_encoding) != 0 && !parser_->beast.chunked())
    return {.state = State::kFailed,
            .status = 400,
            .problem = "the request has a Transfer-Encoding other than chunked"};
  parser_->beast.eager(true);
  return step;
}

RequestHead RequestParser::head() const {
  const auto& message = parser_->beast.get();
  RequestHead head{.method = std::string(message.method_string()),
                   .target = std::string(message.target()),
                   .fields = {},
                   .http_1_0 = message.version() == 10,
                   .keep_alive = parser_->beast.keep_alive(),
                   .has_body = !parser_->beast.is_done(),
                   .content_length = std::nullopt};
  if (const auto length = parser_->beast.content_length()) head.content_length = *length;
  for (const auto& field : message) {
    std::string name = lower(field.name_string());
    std::string value(field.value());
    const auto [entry, added] = head.fields.try_emplace(name, value);
    if (added) continue;
    entry->second += ", " + value;
    head.repeated_identity |= names_identity(name);
  }
  return head;
}

RequestParser::Step RequestParser::read_body(std::string_view bytes) {
  return parser_->put(bytes, false);
}

void RequestParser::limit_body(std::size_t bytes) {
  parser_->beast.body_limit(bytes);
}

std::string RequestParser::take_body() {
  return std::move(parser_->beast.get().body());
}

}  // namespace bobby::http
