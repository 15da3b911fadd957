#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/exchange.h"

namespace bobby::http {

/// What an answer's head needs beside the Response.
struct AnswerFrame {
  std::string id;          ///< X-Request-Id
  bool head_only = false;  ///< of HEAD
  bool http_1_0 = false;   ///< no chunks
  bool keep_alive = true;
  std::string cross_origin = {};  ///< an allowed page of another origin that asks; mostly empty
};

/// The whole answer, as it is sent.
std::string answer_text(const Response& response, const AnswerFrame& frame);
/// The head of an answer of server-sent events.
std::string events_head(const AnswerFrame& frame);
/// "data: TEXT" and an empty line.
std::string event_text(std::string_view text);
/// One chunk of a chunked body. Precondition: `data` is not empty.
std::string chunk_text(std::string_view data);

/// X-Request-Id: `wanted` if that is 1..64 of [A-Za-z0-9._-], else a fresh one.
std::string request_id(std::string_view wanted);

}  // namespace bobby::http
