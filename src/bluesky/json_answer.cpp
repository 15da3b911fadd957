#include "bluesky/json_answer.h"

#include <algorithm>
#include <fmt/format.h>

#include "http/url.h"

namespace bobby::bluesky {
namespace {

bool is_missing(const nlohmann::json& body) {
  const std::string* name = text_of(body, "error");
  return name != nullptr && (*name == "RepoNotFound" || *name == "RecordNotFound" ||
                             *name == "HandleNotFound" || *name == "NotFound");
}

}  // namespace

std::string told(const nlohmann::json& body) {
  constexpr std::size_t kShown = 200;
  const std::string* name = text_of(body, "error");
  const std::string* message = text_of(body, "message");
  std::string text = name == nullptr ? std::string() : *name;
  if (message != nullptr) text += (text.empty() ? "" : ": ") + *message;
  // It goes to a terminal, and it is a stranger's.
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return text.substr(0, kShown);
}

const std::string* text_of(const nlohmann::json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : found->get_ptr<const std::string*>();
}

Result<nlohmann::json> get_json(const net::Get& get, const std::string& url) {
  BOBBY_TRY(const net::Answer answer, get(url));
  nlohmann::json body = nlohmann::json::parse(answer.body, nullptr, false);
  if (answer.status != 200) {
    const bool missing = answer.status == 404 || is_missing(body);
    const std::string said = told(body);
    return fail({.code = missing ? ErrorCode::kNotFound : ErrorCode::kIo,
                 .where = net::shown_url(url),
                 .problem = fmt::format("answers with status {}{}{}", answer.status,
                                        said.empty() ? "" : ": ", said)});
  }
  if (!body.is_object())
    return fail({.code = ErrorCode::kMalformed,
                 .where = net::shown_url(url),
                 .problem = "answers with something other than a JSON object"});
  return body;
}

}  // namespace bobby::bluesky
