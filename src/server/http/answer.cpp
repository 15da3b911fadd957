#include "server/http/answer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/rand.h>

namespace bobby::http {
namespace {

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Status";
  }
}

// A field's value cannot begin another field.
void add_field(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  for (const char c : value) head += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  head += "\r\n";
}

std::string head_start(int status, const AnswerFrame& frame) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, reason(status));
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  add_field(head, "Date", fmt::format("{:%a, %d %b %Y %H:%M:%S GMT}", fmt::gmtime(now)));
  add_field(head, "X-Request-Id", frame.id);
  add_field(head, "X-Content-Type-Options", "nosniff");
  add_field(head, "Referrer-Policy", "no-referrer");
  if (!frame.keep_alive) add_field(head, "Connection", "close");
  if (frame.keep_alive && frame.http_1_0) add_field(head, "Connection", "keep-alive");
  if (!frame.cross_origin.empty()) {
    add_field(head, "Access-Control-Allow-Origin", frame.cross_origin);
    add_field(head, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
    add_field(head, "Vary", "Origin");
  }
  return head;
}

}  // namespace

std::string answer_text(const Response& response, const AnswerFrame& frame) {
  std::string text = head_start(response.status, frame);
  for (const auto& [name, value] : response.fields) add_field(text, name, value);
  const bool bodyless = response.status == 204 || response.status == 304;
  if (!bodyless) {
    add_field(text, "Content-Type", response.content_type);
    add_field(text, "Content-Length", std::to_string(response.body.size()));
  }
  text += "\r\n";
  if (!bodyless && !frame.head_only) text += response.body;
  return text;
}

std::string events_head(const AnswerFrame& frame) {
  std::string head = head_start(200, frame);
  add_field(head, "Content-Type", "text/event-stream");
  add_field(head, "Cache-Control", "no-store");
  add_field(head, "X-Accel-Buffering", "no");  // nginx: pass each event on
  if (!frame.http_1_0) add_field(head, "Transfer-Encoding", "chunked");
  return head + "\r\n";
}

std::string event_text(std::string_view text) {
  std::string event = "data: ";
  for (const char c : text) {
    if (c == '\r') continue;
    event += c;
    if (c == '\n') event += "data: ";
  }
  return event + "\n\n";
}

std::string chunk_text(std::string_view data) {
  return fmt::format("{:x}\r\n{}\r\n", data.size(), data);
}

std::string request_id(std::string_view wanted) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  if (!wanted.empty() && wanted.size() <= 64 && std::all_of(wanted.begin(), wanted.end(), allowed))
    return std::string(wanted);
  std::array<unsigned char, 8> bytes{};
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  std::string id;
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

}  // namespace bobby::http
